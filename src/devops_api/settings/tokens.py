"""The file of bearer tokens and their scopes. It holds digests, never tokens."""

import hmac
import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

Scope = Literal["read", "write"]
_is_name = re.compile(r"[\w.-]{1,64}").fullmatch
_LINE: Final = re.compile(r"(?P<name>[\w.-]{1,64})\s+(?P<scope>read|write)\s+(?P<digest>[0-9a-f]{64})")


class Token(NamedTuple):
    """One line of the file. A `write` token may also read."""

    name: str
    scope: Scope
    digest: bytes

    def allows(self, scope: Scope) -> bool:
        """Return whether the token may be used for an operation of this scope."""
        return scope == "read" or self.scope == "write"


class Tokens:
    """The tokens that may call the API."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tuple(tokens)

    def find(self, value: str) -> Token | None:
        """Return the token with this value, or None.

        Every known digest is compared in constant time, so that the time taken reveals nothing about any of them.
        """
        digest = sha256(value.encode("utf-8", "surrogateescape")).digest()
        matches = [token for token in self._tokens if hmac.compare_digest(token.digest, digest)]
        return matches[0] if matches else None


def read_tokens(path: Path) -> Tokens:
    """Read a file of lines `name scope sha256-in-hex`; blank lines and text after `#` are ignored.

    ValueError names the first invalid line. OSError: the file cannot be read.
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
    """Return a new token and its line for the file. ValueError: the file cannot hold the name."""
    if not _is_name(name):
        raise ValueError("a name has 1 to 64 letters, digits and characters of . _ -")
    token = secrets.token_urlsafe(32)
    return token, f"{name} {scope} {sha256(token.encode()).hexdigest()}"
