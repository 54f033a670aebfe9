"""`devops-api backup` and `restore`: complete, checked copies of the database."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from devops_api.items.settings import read_item_settings
from devops_api.items.store.sqlite.backup import backup_database, restore_database


def run_backup(options: argparse.Namespace) -> None:
    """Copy the database to a file and check the copy."""
    with _show_progress("backup") as on_progress:
        backup_database(read_item_settings(os.environ).database_path, Path(options.file), on_progress)
    sys.stdout.write(f"{options.file} is a complete copy of the database and passed its check\n")


def run_restore(options: argparse.Namespace) -> None:
    """Replace the database with a backup."""
    target = read_item_settings(os.environ).database_path
    with _show_progress("restore") as on_progress:
        restore_database(Path(options.file), target, on_progress)
    sys.stdout.write(f"{target} was restored from {options.file}\n")


@contextmanager
def _show_progress(name: str) -> Iterator[Callable[[int, int], None]]:
    with tqdm(unit=" pages", unit_scale=True, disable=None, desc=name) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
