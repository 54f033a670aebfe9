"""Bearer tokens: a file of who may do what, which holds digests and never a token."""

import hmac
import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from devops_api.errors import ForbiddenError, UnauthorizedError

Scope = Literal["read", "write"]
_LINE: Final = re.compile(r"(?P<name>[\w.-]{1,64})\s+(?P<scope>read|write)\s+(?P<digest>[0-9a-f]{64})")
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="items"'}


class Token(NamedTuple):
    """One line of the file; a `write` token may read too."""

    name: str
    scope: Scope
    digest: bytes


class Tokens:
    """The tokens that may call /items."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tuple(tokens)

    def check(self, authorization: str | None, scope: Scope) -> Token:
        """The token that an `Authorization` header carries.

        UnauthorizedError: none, or not known. ForbiddenError: it may not do this. Every known digest is looked at,
        in constant time, so that the time taken says nothing of any of them.
        """
        kind, _, value = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not value:
            raise UnauthorizedError("Send a token as `Authorization: Bearer …`", headers=_CHALLENGE)
        digest = sha256(value.strip().encode("utf-8", "surrogateescape")).digest()
        matches = [token for token in self._tokens if hmac.compare_digest(token.digest, digest)]
        if not matches:
            raise UnauthorizedError("The token is not known here", headers=_CHALLENGE)
        if scope == "write" and matches[0].scope != "write":
            raise ForbiddenError(f"The token {matches[0].name} may read only")
        return matches[0]


def read_tokens(path: Path) -> Tokens:
    """Read a file of lines `name scope sha256-in-hex`; blank lines and lines from `#` on are left out.

    ValueError names the first bad line; OSError where the file cannot be read.
    """
    tokens = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if not match:
            raise ValueError(f"line {number} is not `name scope sha256`, the scope one of {', '.join(get_args(Scope))}")
        scope: Scope = "write" if match["scope"] == "write" else "read"
        tokens.append(Token(match["name"], scope, bytes.fromhex(match["digest"])))
    if not tokens:
        raise ValueError("it holds no token")
    return Tokens(tokens)


def create_token(name: str, scope: Scope) -> tuple[str, str]:
    """A new token, and the line that makes it known."""
    token = secrets.token_urlsafe(32)
    return token, f"{name} {scope} {sha256(token.encode()).hexdigest()}"
