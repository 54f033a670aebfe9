"""`devops-api backup` and `restore`: whole, checked copies of the database."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from devops_api.app import database_path
from devops_api.items.store.sqlite.backup import backup_database, restore_database
from devops_api.settings.service import read_settings


def run_backup(options: argparse.Namespace) -> None:
    """`devops-api backup`."""
    with _show_progress("backup") as on_progress:
        backup_database(database_path(read_settings(os.environ)), Path(options.file), on_progress)
    sys.stdout.write(f"{options.file} is a whole copy of the database, and has been checked\n")


def run_restore(options: argparse.Namespace) -> None:
    """`devops-api restore`."""
    target = database_path(read_settings(os.environ))
    with _show_progress("restore") as on_progress:
        restore_database(Path(options.file), target, on_progress)
    sys.stdout.write(f"{target} is the database of {options.file} now\n")


@contextmanager
def _show_progress(name: str) -> Iterator[Callable[[int, int], None]]:
    with tqdm(unit=" pages", unit_scale=True, disable=None, desc=name) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
