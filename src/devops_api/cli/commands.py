"""The commands of `devops-api`, their options and their help."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from devops_api import __version__
from devops_api.errors import DevopsApiError, SettingsError
from devops_api.items.settings import IDENTITY, Settings
from devops_api.settings.reading import Variable, list_variables

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as in shells
_EPILOG: Final = """\
first steps:
  devops-api serve                                   serve on http://127.0.0.1:8000, items in data/items.db
  curl http://127.0.0.1:8000/items -H 'Content-Type: application/json' -d '{"name": "Test", "price": 9.99}'
  devops-api healthcheck                             check the service's health
  devops-api export items.csv                        write all items to a file

Every setting is an environment variable; `devops-api serve --help` lists them.
"""
_TRANSFER_EPILOG: Final = """\
NDJSON has one item per line: {"name": "Test", "price": 9.99, "sku": "T-1", "tags": ["new"]}
CSV starts with a header: name,price,sku,description,tags. Tags are separated by spaces.
"""


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code: 0, 1 if it failed, 2 if the arguments or the settings are invalid."""
    parser = create_parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return EXIT_USAGE
    module, _, function = options.run.partition(":")
    try:
        return int(getattr(import_module(f"devops_api.cli.{module}"), function)(options) or 0)
    except SettingsError as error:
        _print_error("invalid settings:", *(f"  {line}" for line in error.errors))
        return EXIT_USAGE
    except (DevopsApiError, OSError) as error:
        _print_error(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def create_parser() -> argparse.ArgumentParser:
    """Return the parser. The module that runs a command is imported only when that command runs."""
    parser = argparse.ArgumentParser(
        prog="devops-api",
        description="An async item service with metrics, traces, logs and dashboards built in.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"devops-api {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_command(commands, "serve", "serve:run_serve", "run the service until SIGTERM", epilog=describe_settings())
    # `__main__` runs the two probes before this module is imported. Only their help is here.
    _add_command(commands, "healthcheck", None, "request /health from a running service; exit 0 if healthy, else 1")
    ping = _add_command(commands, "ping", None, "open a TCP connection and time it, for images without ping")
    ping.add_argument("address", metavar="HOST:PORT")
    token = _add_command(commands, "token", "token:run_token", "create a bearer token and its line for the tokens file")
    token.add_argument("name", help="name of the client: letters, digits, . _ and -")
    token.add_argument("scope", choices=("read", "write"), help="a write token may also read")
    _add_transfer_commands(commands)
    _add_backup_commands(commands)
    _add_load_command(commands)
    return parser


def describe_settings() -> str:
    """Return the settings as text for a terminal."""
    lines = ["settings, from the environment:"]
    for variable in list_variables(Settings, IDENTITY.settings_prefix):
        lines += [
            f"  {variable.name}",
            f"      {variable.description}; {variable.accepts}; default {_show_default(variable)}",
        ]
    return "\n".join(lines)


def _show_default(variable: Variable) -> str:
    if variable.default is None:
        return "unset"
    return str(variable.default).lower() if isinstance(variable.default, bool) else str(variable.default)


def _add_transfer_commands(commands: Any) -> None:
    for name, text, file_help in (
        ("import", "import items from a file", "an NDJSON or CSV file; - reads standard input"),
        ("export", "export all items to a file, from one snapshot", "the file to write; - is standard output"),
    ):
        parser = _add_command(commands, name, f"bulk:run_{name}", text, epilog=_TRANSFER_EPILOG)
        parser.add_argument("file", help=file_help)
        parser.add_argument("--url", help="URL of a running service (default: the database that the settings name)")
        parser.add_argument("--format", choices=("ndjson", "csv"), help="default: by the file's extension, else ndjson")
        _add_token_option(parser)
        if name == "import":
            parser.add_argument("--upsert", action="store_true", help="replace items that have the same sku")
            parser.add_argument("--abort", action="store_true", help="stop at the first invalid line")


def _add_backup_commands(commands: Any) -> None:
    backup = _add_command(
        commands, "backup", "backup:run_backup", "copy the database to a file, also while the service runs"
    )
    backup.add_argument("file", help="the file to write; it must not exist yet")
    restore = _add_command(
        commands, "restore", "backup:run_restore", "replace the database with a backup; stop the service first"
    )
    restore.add_argument("file", help="a file that `devops-api backup` wrote")


def _add_load_command(commands: Any) -> None:
    load = _add_command(commands, "load", "load:run_load", "send a steady, realistic mix of requests to a service")
    load.add_argument(
        "--rate", type=_parse_positive, default=20.0, metavar="NUMBER", help="requests per second (default 20)"
    )
    load.add_argument(
        "--duration", type=_parse_positive, default=float("inf"), metavar="SECONDS", help="default: until interrupted"
    )
    load.add_argument("--url", default="http://127.0.0.1:8000", help="URL of the service (default %(default)s)")
    _add_token_option(load)


def _add_token_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--token-file", metavar="FILE", help="a file with the bearer token to send")


def _parse_positive(text: str) -> float:
    with suppress(ValueError):
        if (number := float(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")


def _add_command(
    commands: Any, name: str, run: str | None, text: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Add a command; `run` names its function as `module:function` below this package."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _print_error(*lines: str) -> None:
    sys.stderr.write("devops-api: " + "\n".join(lines) + "\n")
