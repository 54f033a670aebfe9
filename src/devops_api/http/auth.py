"""Access by bearer token (RFC 6750)."""

from devops_api.errors import ForbiddenError, UnauthorizedError
from devops_api.settings.tokens import Scope, Token, Tokens


class Access:
    """Check the tokens of requests. `realm` names the service in the challenge."""

    def __init__(self, tokens: Tokens, realm: str) -> None:
        self._tokens = tokens
        self._challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}

    def check(self, authorization: str | None, scope: Scope) -> Token:
        """Return the token of an `Authorization` header.

        UnauthorizedError: there is none, or it is unknown. ForbiddenError: its scope does not allow the operation.
        """
        kind, _, value = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not value:
            raise UnauthorizedError("Send a token as `Authorization: Bearer …`", headers=self._challenge)
        token = self._tokens.find(value.strip())
        if token is None:
            raise UnauthorizedError("The token is unknown", headers=self._challenge)
        if not token.allows(scope):
            raise ForbiddenError(f"The token {token.name} may only read")
        return token
