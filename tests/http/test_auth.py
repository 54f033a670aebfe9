"""Whoever has no token gets nothing, and a token for reading writes nothing."""

import pytest

from devops_api.errors import ForbiddenError, UnauthorizedError
from devops_api.http.auth import Access
from devops_api.settings.tokens import Token, Tokens, create_token


@pytest.fixture
def made() -> tuple[Access, str, str]:
    """Tokens that know one of each scope, and the two."""
    reader, reader_line = create_token("reader", "read")
    writer, writer_line = create_token("writer", "write")
    known = [
        Token("reader", "read", bytes.fromhex(reader_line.split()[2])),
        Token("writer", "write", bytes.fromhex(writer_line.split()[2])),
    ]
    return Access(Tokens(known), "items"), reader, writer


def test_a_token_is_known_by_its_digest_alone(made: tuple[Access, str, str]) -> None:
    access, reader, writer = made
    assert access.check(f"Bearer {reader}", "read").name == "reader"
    assert access.check(f"bearer {writer}", "write").name == "writer"
    assert access.check(f"Bearer {writer}", "read").name == "writer"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", "Bearer \udcff"])
def test_anything_else_is_unauthorized_with_a_challenge(made: tuple[Access, str, str], header: str | None) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        made[0].check(header, "read")
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_for_reading_may_not_write(made: tuple[Access, str, str]) -> None:
    with pytest.raises(ForbiddenError, match="reader may only read"):
        made[0].check(f"Bearer {made[1]}", "write")
