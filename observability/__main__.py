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
from typing import Final

from observability.dashboards import create_dashboards

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
    return {
        f"dashboards/{name}.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in create_dashboards().items()
    }


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
