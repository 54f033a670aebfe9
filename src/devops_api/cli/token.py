"""`devops-api token`."""

import argparse
import sys

from devops_api.items.settings import IDENTITY
from devops_api.settings.tokens import create_token


def run_token(options: argparse.Namespace) -> None:
    """Print a new token, and its line for the tokens file on standard error."""
    token, line = create_token(options.name, options.scope)
    sys.stdout.write(f"{token}\n")
    sys.stderr.write(
        f"# Add this line to the file that {IDENTITY.settings_prefix}TOKENS_FILE names. The token itself is not stored:\n"
        f"{line}\n"
    )
