"""Bearer tokens for the tests of access."""

from devops_api.settings.tokens import Scope, Token, Tokens, create_token


def create_tokens(**scopes: Scope) -> tuple[Tokens, dict[str, str]]:
    """Create a token of each name with its scope; return what the service knows, and the tokens by name."""
    known, values = [], {}
    for name, scope in scopes.items():
        values[name], line = create_token(name, scope)
        known.append(Token(name, scope, bytes.fromhex(line.split()[2])))
    return Tokens(known), values


def authorize(value: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {value}"}
