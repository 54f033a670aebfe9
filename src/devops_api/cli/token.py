"""`devops-api token`: create a bearer token."""

import argparse
import sys

from devops_api.items.settings import IDENTITY
from devops_api.settings.tokens import create_token


def run_token(options: argparse.Namespace) -> None:
    """Print a new token on standard output, and its line for the tokens file on standard error."""
    token, line = create_token(options.name, options.scope)
    sys.stdout.write(f"{token}\n")
    variable = f"{IDENTITY.settings_prefix}TOKENS_FILE"
    sys.stderr.write(f"# The token is not stored. Add this line to the file that {variable} names:\n{line}\n")
