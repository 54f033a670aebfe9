"""Write `observability/generated/`, or compare it with what the code makes.

python -m observability            write
python -m observability --check    exit 1 and show the difference where a file is not what the code makes
"""

import argparse
import difflib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from observability.dashboards import create_dashboards
from observability.rules import create_rule_files

HEADER: Final = "# Made by `python -m observability`; change the Python, not this file."
WIDTH: Final = 110
WORD_MAX: Final = 80  # A longer word without a space, such as an address, gets a line of its own.
GENERATED: Final = Path(__file__).parent / "generated"


def main(arguments: list[str] | None = None) -> int:
    """Run, and give back the exit code."""
    parser = argparse.ArgumentParser(prog="python -m observability", description="Write dashboards and rules.")
    parser.add_argument("--check", action="store_true", help="compare instead, and fail on a difference")
    parser.add_argument("--folder", type=Path, default=GENERATED, help="where the files are (default: %(default)s)")
    options = parser.parse_args(arguments)
    files = generate()
    if not options.check:
        write(options.folder, files)
        return 0
    difference = compare(options.folder, files)
    sys.stdout.write(difference)
    return 1 if difference else 0


def generate() -> Mapping[str, str]:
    """Every generated file: its path below the folder, and its text."""
    boards = {f"dashboards/{name}.json": _write_json(board) for name, board in create_dashboards().items()}
    return boards | {name: write_yaml(document) for name, document in create_rule_files().items()}


def write_yaml(document: Any) -> str:
    """YAML as people write it: keys in order, sequences indented, text of several lines as a block."""
    return f"{HEADER}\n{yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)}"


def _write_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        return super().increase_indent(flow, False)

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else ">" if len(text) > WORD_MAX and " " not in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Make the folder hold these files and nothing else."""
    for path in _find_files(folder) - set(files):
        (folder / path).unlink()
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def compare(folder: Path, files: Mapping[str, str]) -> str:
    """What differs, as a unified diff that ends with what to do; empty where nothing does."""
    lines: list[str] = []
    for path in sorted(_find_files(folder) | set(files)):
        is_there = (folder / path).is_file()
        before = (folder / path).read_text(encoding="utf-8").splitlines() if is_there else []
        after = files.get(path, "").splitlines()
        lines += difflib.unified_diff(before, after, f"committed/{path}", f"generated/{path}", lineterm="")
    return "\n".join([*lines, "", "Run `python -m observability` and commit what it writes.", ""]) if lines else ""


def _find_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    raise SystemExit(main())
