"""The command line: parse, run, exit. The only place that prints."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from devops_api import __version__
from devops_api.errors import DevopsApiError, SettingsError
from devops_api.settings.service import PREFIX, Settings, iterate_settings, read_settings

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_EPILOG: Final = """\
first steps:
  devops-api serve                                   the service on http://127.0.0.1:8000, items in data/items.db
  curl http://127.0.0.1:8000/items -H 'Content-Type: application/json' -d '{"name": "Test", "price": 9.99}'
  devops-api healthcheck                             is it well?
  devops-api export items.csv                        all items, into a file

Every setting is an environment variable; `devops-api serve --help` lists them.
"""
_BULK_EPILOG: Final = """\
NDJSON has an item a line: {"name": "Test", "price": 9.99, "sku": "T-1", "tags": ["new"]}
CSV has a header that names its columns: name,price,sku,description,tags; tags are separated by blanks.
"""


def run(words: Sequence[str]) -> int:
    """Run one command; the exit code."""
    parser = create_parser()
    options = parser.parse_args(words)
    if options.run is None:
        parser.print_help()
        return EXIT_USAGE
    try:
        return int(options.run(options) or 0)
    except SettingsError as error:
        _complain("the settings are wrong:", *(f"  {fault}" for fault in error.errors))
        return EXIT_USAGE
    except (DevopsApiError, OSError) as error:
        _complain(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def create_parser() -> argparse.ArgumentParser:
    """The commands, their options and their help."""
    parser = argparse.ArgumentParser(
        prog="devops-api",
        description="An async item service that shows everything that happens in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"devops-api {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_command(commands, "serve", _serve, "run the service until SIGTERM", epilog=describe_settings())
    _add_command(commands, "healthcheck", None, "ask /health of a running service; exit 0 where it is well, else 1")
    ping = _add_command(commands, "ping", None, "open a TCP connection and time it, where an image has no ping")
    ping.add_argument("address", metavar="HOST:PORT")
    token = _add_command(commands, "token", _create_token, "make a bearer token and its line for the tokens file")
    token.add_argument("name", help="who it is for: letters, digits, . _ and -")
    token.add_argument("scope", choices=("read", "write"), help="a write token may read too")
    _add_bulk_commands(commands)
    backup = _add_command(commands, "backup", _backup, "copy the database to a file, also while the service runs")
    backup.add_argument("file", help="where to; must not exist yet")
    restore = _add_command(
        commands, "restore", _restore, "put a backup in the database's place; stop the service first"
    )
    restore.add_argument("file", help="a file that `devops-api backup` made")
    load = _add_command(commands, "load", _load, "call a service steadily, as its clients would")
    load.add_argument("--rate", type=_positive, default=20.0, metavar="CALLS", help="calls a second (default 20)")
    load.add_argument("--duration", type=_positive, default=float("inf"), metavar="SECONDS", help="default: for ever")
    load.add_argument("--url", default="http://127.0.0.1:8000", help="the service (default %(default)s)")
    _add_token_option(load)
    return parser


def _add_bulk_commands(commands: Any) -> None:
    for name, command, text, file_help in (
        ("import", _import, "store the items of a file", "NDJSON or CSV; - reads standard input"),
        ("export", _export, "write all items to a file, from one snapshot", "where to; - writes to standard output"),
    ):
        parser = _add_command(commands, name, command, text, epilog=_BULK_EPILOG)
        parser.add_argument("file", help=file_help)
        parser.add_argument("--url", help="a running service; without it the database that the settings name")
        parser.add_argument("--format", choices=("ndjson", "csv"), help="by default what the file's name ends with")
        _add_token_option(parser)
        if name == "import":
            parser.add_argument("--upsert", action="store_true", help="a row replaces the item with its sku")
            parser.add_argument("--abort", action="store_true", help="stop at the first bad line")


def _add_token_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--token-file", metavar="FILE", help="a file with the bearer token to send")


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise ValueError
    return number


def describe_settings() -> str:
    """The settings as a table for a terminal."""
    defaults = Settings()
    lines = ["settings, from the environment:"]
    for name, setting in iterate_settings():
        default = getattr(defaults, name)
        shown = "unset" if default is None else str(default).lower() if isinstance(default, bool) else default
        lines += [f"  {PREFIX}{name.upper()}", f"      {setting.meaning}; {setting.accepts}; default {shown}"]
    return "\n".join(lines)


def _add_command(
    commands: Any,
    name: str,
    command: Callable[[argparse.Namespace], int | None] | None,
    text: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=command)
    return parser


def _serve(_: argparse.Namespace) -> None:
    settings = read_settings(os.environ)
    from devops_api.serve.serve import run_service  # noqa: PLC0415 - the other commands need none of it

    run_service(settings, os.environ)


def _create_token(options: argparse.Namespace) -> None:
    from devops_api.settings.tokens import create_token  # noqa: PLC0415

    token, line = create_token(options.name, options.scope)
    sys.stdout.write(f"{token}\n")
    sys.stderr.write(
        f"# add this line to the file that {PREFIX}TOKENS_FILE names; the token itself is kept nowhere:\n{line}\n"
    )


def _import(options: argparse.Namespace) -> int:
    from devops_api.cli.bulk import run_import  # noqa: PLC0415

    return run_import(options)


def _export(options: argparse.Namespace) -> int:
    from devops_api.cli.bulk import run_export  # noqa: PLC0415

    return run_export(options)


def _backup(options: argparse.Namespace) -> None:
    from devops_api.cli.backup import run_backup  # noqa: PLC0415

    run_backup(options)


def _restore(options: argparse.Namespace) -> None:
    from devops_api.cli.backup import run_restore  # noqa: PLC0415

    run_restore(options)


def _load(options: argparse.Namespace) -> None:
    from devops_api.cli.load import run_load  # noqa: PLC0415

    run_load(options)


def _complain(*lines: str) -> None:
    sys.stderr.write("devops-api: " + "\n".join(lines) + "\n")
