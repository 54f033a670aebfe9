"""The commands of `devops-api`, their options and their help."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from devops_api import __version__
from devops_api.errors import DevopsApiError, SettingsError
from devops_api.items.settings import IDENTITY, Settings
from devops_api.settings.reading import Variable, list_variables

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
_EPILOG: Final = """\
first steps:
  devops-api serve                                   serve on http://127.0.0.1:8000, items in data/items.db
  curl http://127.0.0.1:8000/items -H 'Content-Type: application/json' -d '{"name": "Test", "price": 9.99}'
  devops-api healthcheck                             ask the service for its health
  devops-api export items.csv                        write all items to a file

Every setting is an environment variable; `devops-api serve --help` lists them.
"""
_TRANSFER_EPILOG: Final = """\
NDJSON has one item a line: {"name": "Test", "price": 9.99, "sku": "T-1", "tags": ["new"]}
CSV has a header that names its columns: name,price,sku,description,tags; tags are separated by spaces.
"""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, 1 if the work failed, 2 if the call or the settings are wrong."""
    parser = create_parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return EXIT_USAGE
    module, _, function = options.run.partition(":")
    try:
        return int(getattr(import_module(f"devops_api.cli.{module}"), function)(options) or 0)
    except SettingsError as error:
        _print_error("the settings are wrong:", *(f"  {line}" for line in error.errors))
        return EXIT_USAGE
    except (DevopsApiError, OSError) as error:
        _print_error(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def create_parser() -> argparse.ArgumentParser:
    """Return the parser. Each command names the function that runs it, whose module is imported only then."""
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
    # The two probes are run by `__main__`, before anything is imported; here is their help alone.
    _add_command(commands, "healthcheck", None, "ask a running service for /health; exit 0 if healthy, else 1")
    ping = _add_command(commands, "ping", None, "open a TCP connection and time it, for images without ping")
    ping.add_argument("address", metavar="HOST:PORT")
    token = _add_command(commands, "token", "token:run_token", "create a bearer token and its line for the tokens file")
    token.add_argument("name", help="whose token it is: letters, digits, . _ and -")
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
        ("import", "store the items of a file", "NDJSON or CSV; - reads standard input"),
        ("export", "write all items to a file, from one snapshot", "the file to write; - is standard output"),
    ):
        parser = _add_command(commands, name, f"bulk:run_{name}", text, epilog=_TRANSFER_EPILOG)
        parser.add_argument("file", help=file_help)
        parser.add_argument("--url", help="a running service; without it the database that the settings name")
        parser.add_argument("--format", choices=("ndjson", "csv"), help="default: by the extension of the file")
        _add_token_option(parser)
        if name == "import":
            parser.add_argument("--upsert", action="store_true", help="a row replaces the item with its sku")
            parser.add_argument("--abort", action="store_true", help="stop at the first invalid line")


def _add_backup_commands(commands: Any) -> None:
    backup = _add_command(
        commands, "backup", "backup:run_backup", "copy the database to a file, also while the service runs"
    )
    backup.add_argument("file", help="the file to write; it must not exist yet")
    restore = _add_command(
        commands, "restore", "backup:run_restore", "replace the database by a backup; stop the service first"
    )
    restore.add_argument("file", help="a file that `devops-api backup` wrote")


def _add_load_command(commands: Any) -> None:
    load = _add_command(commands, "load", "load:run_load", "call a service steadily, as its clients would")
    load.add_argument("--rate", type=_positive, default=20.0, metavar="CALLS", help="calls per second (default 20)")
    load.add_argument(
        "--duration", type=_positive, default=float("inf"), metavar="SECONDS", help="default: until interrupted"
    )
    load.add_argument("--url", default="http://127.0.0.1:8000", help="the service (default %(default)s)")
    _add_token_option(load)


def _add_token_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--token-file", metavar="FILE", help="a file with the bearer token to send")


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise ValueError
    return number


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
