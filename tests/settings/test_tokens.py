"""The tokens file decides who may call the API: a mistake in it must be refused with its line, not ignored."""

from pathlib import Path

import pytest

from devops_api.settings.tokens import Scope, Token, Tokens, create_token, read_tokens

DIGEST = "0" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_tokens_are_found_by_their_value(path: Path) -> None:
    reader, reader_line = create_token("reader", "read")
    writer, writer_line = create_token("writer", "write")
    path.write_text(f"{reader_line}\n{writer_line}\n")
    tokens = read_tokens(path)
    for value, name, scope in ((reader, "reader", "read"), (writer, "writer", "write")):
        token = tokens.find(value)
        assert token is not None
        assert (token.name, token.scope) == (name, scope)
    for value in ("", "wrong", reader[:-1], reader + "=", reader_line.split()[2], "\udcff"):
        assert tokens.find(value) is None


@pytest.mark.parametrize(("scope", "may_write"), [("read", False), ("write", True)])
def test_every_token_may_read_and_only_a_write_token_may_write(scope: Scope, may_write: bool) -> None:  # noqa: FBT001
    token = Token("ops", scope, bytes.fromhex(DIGEST))
    assert (token.allows("read"), token.allows("write")) == (True, may_write)


def test_comments_blank_lines_and_spaces_are_ignored(path: Path) -> None:
    value, line = create_token("ops", "read")
    path.write_text(f"# operators\n\n  {line.replace(' ', '   ')}\t # until May\r\n   \n")
    assert read_tokens(path).find(value) is not None


@pytest.mark.parametrize(
    "line",
    [
        f"ops admin {DIGEST}",
        f"ops READ {DIGEST}",
        "ops read xyz",
        f"ops read {DIGEST[:-1]}",
        f"ops read {DIGEST}0",
        f"ops read {'A' * 64}",
        f"ops {DIGEST}",
        f"two words read {DIGEST}",
        f"ops read {DIGEST} more",
        f"{'n' * 65} read {DIGEST}",
        "\x00",
    ],
)
def test_an_invalid_line_is_refused_with_its_number_and_the_expected_form(path: Path, line: str) -> None:
    path.write_text(f"# tokens\nok read {DIGEST}\n{line}\n")
    with pytest.raises(ValueError, match=r"^line 3 is not `name scope sha256`, the scope one of read, write$"):
        read_tokens(path)


@pytest.mark.parametrize("text", ["", "\n\n", "# ops read"])
def test_a_file_without_a_token_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match="it holds no token"):
        read_tokens(path)


def test_a_missing_file_is_an_os_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tokens(path)


def test_a_file_that_is_not_utf_8_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="utf-8"):
        read_tokens(path)


def test_created_tokens_are_long_and_differ_and_their_lines_do_not_hold_them() -> None:
    created = [create_token("ops", "read") for _ in range(100)]
    assert len({value for value, _ in created}) == len({line for _, line in created}) == 100
    assert all(len(value) >= 43 and value not in line for value, line in created)  # 256 bits in base64


def test_an_empty_list_of_tokens_matches_no_value() -> None:
    assert Tokens([]).find("") is None
