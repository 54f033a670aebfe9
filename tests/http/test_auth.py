"""A request without a valid token must be refused, and a read token must not write."""

import pytest
from tokens import create_tokens

from devops_api.errors import ForbiddenError, UnauthorizedError
from devops_api.http.auth import Access

TOKENS, VALUES = create_tokens(reader="read", writer="write")
ACCESS = Access(TOKENS, "items")


def test_a_known_token_is_accepted_and_named() -> None:
    assert ACCESS.check(f"Bearer {VALUES['reader']}", "read").name == "reader"
    assert ACCESS.check(f"bearer {VALUES['writer']}", "write").name == "writer"
    assert ACCESS.check(f"Bearer {VALUES['writer']}", "read").name == "writer"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", "Bearer \udcff"])
def test_any_other_header_is_unauthorized_with_a_challenge(header: str | None) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        ACCESS.check(header, "read")
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_read_token_is_forbidden_to_write() -> None:
    with pytest.raises(ForbiddenError, match="reader may only read"):
        ACCESS.check(f"Bearer {VALUES['reader']}", "write")
