"""`devops-api token`: create a bearer token."""

import argparse
import sys

from devops_api.errors import DevopsApiError
from devops_api.items.settings import IDENTITY
from devops_api.settings.tokens import create_token


class CommandError(DevopsApiError):
    """An argument of the command is invalid."""


def run_token(options: argparse.Namespace) -> None:
    """Print a new token on standard output, and its line for the tokens file on standard error."""
    try:
        token, line = create_token(options.name, options.scope)
    except ValueError as error:
        raise CommandError(f"{options.name!r}: {error}") from None
    sys.stdout.write(f"{token}\n")
    variable = f"{IDENTITY.settings_prefix}TOKENS_FILE"
    sys.stderr.write(f"# The token is not stored. Add this line to the file that {variable} names:\n{line}\n")
