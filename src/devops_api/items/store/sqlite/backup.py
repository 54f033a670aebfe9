"""Backup and restore: complete, checked copies of the database, which may be in use during a backup."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import gmtime, strftime
from typing import Final

import apsw

from devops_api.errors import StoreRefusedError, StoreUnavailableError
from devops_api.items.store.sqlite.file import BUSY_TIMEOUT_MS, FileLock, explain_error, open_reader, require_ours

PAGES_PER_STEP: Final = 1_024  # 2 MB between two calls of the progress function
Progress = Callable[[int, int], None]


def backup_database(source: Path, target: Path, on_progress: Progress) -> None:
    """Copy a database as of one time, even while it is written to, and check the copy.

    `on_progress` gets the pages done and all pages. The copy gets its name only when it is complete and on disk.
    StoreRefusedError: `target` exists, the source is not ours, or the copy is damaged. StoreUnavailableError.
    """
    if target.exists():
        raise StoreRefusedError(f"{target} exists already; a backup never replaces a file")
    if not source.exists():
        raise StoreUnavailableError(f"{source} does not exist; set DEVOPS_API_DATABASE_URL to the database")
    part = target.with_name(target.name + ".part")
    with _copy(source, part, on_progress):
        try:
            os.link(part, target)  # Unlike a rename, this never replaces a file.
        except FileExistsError:
            raise StoreRefusedError(f"{target} exists already; a backup never replaces a file") from None
        except OSError:
            part.rename(target)  # The file system has no hard links.
        _flush(target.parent)


def restore_database(backup: Path, target: Path, on_progress: Progress) -> Path | None:
    """Replace a database with a backup; return the path under which the old database is kept, if there was one.

    At any time the path holds either the complete old database or the complete new one. StoreRefusedError: the backup
    is damaged, newer than this service, or another program's. StoreUnavailableError: a service uses the database.
    """
    if not backup.exists():
        raise StoreRefusedError(f"{backup} does not exist")
    lock = FileLock(target, exclusive=True)
    try:
        with _copy(backup, target.with_name(target.name + ".part"), on_progress) as part:
            kept = _keep(target) if target.exists() else None
            part.replace(target)
            _flush(target.parent)
    finally:
        lock.release()
    return kept


@contextlib.contextmanager
def _copy(source: Path, part: Path, on_progress: Progress) -> Iterator[Path]:
    """Yield a checked copy in one file, on disk; remove what is left of it afterwards."""
    try:
        _remove(part)
        with contextlib.closing(open_reader(source, cache_kib=2 * 1024)) as reading:
            require_ours(reading, source)
            with contextlib.closing(apsw.Connection(os.fspath(part))) as writing:
                _copy_pages(reading, writing, on_progress)
                writing.pragma("journal_mode", "DELETE")
                if writing.pragma("integrity_check") != "ok":
                    raise StoreRefusedError(f"{source} is damaged: its copy fails SQLite's integrity check")
        _flush(part)
        yield part
    except apsw.NotADBError:
        raise StoreRefusedError(f"{source} is not an SQLite database") from None
    except apsw.CorruptError as error:
        raise StoreRefusedError(f"{source} is damaged ({error})") from None
    except apsw.Error as error:
        raise StoreUnavailableError(f"{part}: {explain_error(error)}") from error
    except OSError as error:
        raise StoreUnavailableError(f"{error.filename or part}: {error.strerror}") from error
    finally:
        _remove(part)


def _copy_pages(reading: apsw.Connection, writing: apsw.Connection, on_progress: Progress) -> None:
    """Copy within one read transaction: SQLite restarts a backup when it meets a write between two steps."""
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    writing.set_busy_timeout(BUSY_TIMEOUT_MS)
    with writing.backup("main", reading, "main") as backup:
        while not backup.done:
            backup.step(PAGES_PER_STEP)
            on_progress(backup.page_count - backup.remaining, backup.page_count)
    reading.execute("COMMIT")


def _keep(target: Path) -> Path:
    """Keep the old database under a second name, with its log checkpointed, or kept beside it if that fails."""
    kept = target.with_name(f"{target.name}.before-{strftime('%Y%m%dT%H%M%SZ', gmtime())}")
    log, kept_log = target.with_name(target.name + "-wal"), kept.with_name(kept.name + "-wal")
    with contextlib.suppress(apsw.Error), contextlib.closing(apsw.Connection(os.fspath(target))) as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    os.link(target, kept)
    if log.exists():
        os.link(log, kept_log)
    # SQLite would apply a log that stays to the new database.
    log.unlink(missing_ok=True)
    target.with_name(target.name + "-shm").unlink(missing_ok=True)
    _flush(target.parent)
    return kept


def _remove(part: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
