"""Headers about a body and about the expected version must mean what RFC 9110 says, or be refused."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from devops_api.errors import MalformedError, UnsupportedMediaTypeError
from devops_api.http.bodies import JSON, MERGE_PATCH, is_unchanged, read_if_match, require_media_type


def create_request(**headers: str) -> web.Request:
    """Return a request with these headers, `_` written for `-`. Only aiohttp's factory makes one without a socket."""
    return make_mocked_request("PUT", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        ('"3"', {3}),
        (' "3" ', {3}),
        ('"1", "2","3"', {1, 2, 3}),
        ('W/"3"', set()),
        ('W/"1", "2"', {2}),
        ('""', set()),
        ('"abc"', set()),
        ('"a, b", "4"', {4}),
        ('"-1"', set()),
        ('"\u0663"', set()),
        ('"' + "9" * 5000 + '"', set()),
    ],
)
def test_if_match_accepts_the_versions_of_its_strong_tags(header: str, versions: set[int]) -> None:
    assert read_if_match(create_request(If_Match=header)) == versions


@pytest.mark.parametrize("header", ["*", " * "])
def test_a_star_or_no_if_match_accepts_every_version(header: str) -> None:
    assert read_if_match(create_request(If_Match=header)) is None
    assert read_if_match(create_request()) is None


@pytest.mark.parametrize("header", ["", "3", '"3', '3"', '"1" 2', "*, *", '*, "1"', 'w/"1"', "W/1", ",", "'1'"])
def test_an_invalid_if_match_is_refused_and_not_ignored(header: str) -> None:
    with pytest.raises(MalformedError):
        read_if_match(create_request(If_Match=header))


@given(st.text(alphabet='"W/*, 13ax\t', max_size=30))
def test_if_match_accepts_no_version_that_it_does_not_name(header: str) -> None:
    try:
        versions = read_if_match(create_request(If_Match=header))
    except MalformedError:
        return
    if versions is None:
        assert header.strip() == "*"
    else:
        assert all(f'"{version}"' in header or f"{version}" in header for version in versions)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"2"', True),
        ('W/"2"', True),
        ('"1", "2"', True),
        ("*", True),
        ('"1"', False),
        ("2", False),
        ("", False),
        ('"22"', False),
    ],
)
def test_if_none_match_compares_weakly(header: str, expected: bool) -> None:  # noqa: FBT001
    assert is_unchanged(create_request(If_None_Match=header), '"2"') is expected


@pytest.mark.parametrize(
    "header",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/json; charset=US-ASCII",
        "application/json; profile=x",
    ],
)
def test_case_and_parameters_of_a_media_type_do_not_matter(header: str) -> None:
    assert require_media_type(create_request(Content_Type=header), JSON) == JSON


@pytest.mark.parametrize("header", ["text/plain", "application/jsonx", "application/json; charset=utf-16", "", "json"])
def test_another_media_type_is_refused_with_the_accepted_ones(header: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        require_media_type(create_request(Content_Type=header), JSON, MERGE_PATCH)
    assert caught.value.headers == {"Accept": f"{JSON}, {MERGE_PATCH}"}


def test_a_body_without_a_media_type_is_refused() -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="not none"):
        require_media_type(create_request(), JSON)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        require_media_type(create_request(Content_Type=JSON, Content_Encoding=encoding), JSON)
    assert caught.value.headers == {"Accept-Encoding": "identity"}
