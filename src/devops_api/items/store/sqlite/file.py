"""The database file: opening it, the lock that says it is in use, its migrations, and what its errors mean."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import apsw

from devops_api.errors import StoreRefusedError, StoreUnavailableError

APPLICATION_ID: Final = int.from_bytes(b"dvop", "big")
BUSY_TIMEOUT_MS: Final = 5_000
WAL_KEPT_BYTES: Final = 64 * 1024 * 1024  # what a long export made it grow to beyond this is given back
# An import into a large database dirties two pages a row, at random places of the indexes: half of SQLite's usual page
# size halves what is written, and a log of 64 MB gathers what hits the same page (together 1.6 times as fast).
PAGE_BYTES: Final = 2 * 1024
CHECKPOINT_PAGES: Final = 32_000
CACHE_KIB: Final = 7 * 1024  # more than an import's transaction dirties, which would be written twice otherwise
_OPEN_READ_ONLY: Final = apsw.SQLITE_OPEN_READONLY
_OPEN_READ_WRITE: Final = apsw.SQLITE_OPEN_READWRITE

_MEANINGS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (apsw.FullError, "The disk that holds the database is full"),
    (apsw.ReadOnlyError, "The database is read-only"),
    (apsw.BusyError, "The database is locked by another process"),
    (apsw.LockedError, "The database is locked by another process"),
    (apsw.CorruptError, "The database is damaged; restore a backup"),
    (UnicodeDecodeError, "The database is damaged; restore a backup"),
    (apsw.NotADBError, "The database is damaged; restore a backup"),
    (apsw.CantOpenError, "The database cannot be opened"),
    (apsw.IOError, "The disk that holds the database does not read or write"),
    (apsw.ConnectionClosedError, "The store is closed"),
    (apsw.InterruptError, "Reading was broken off"),
)


DAMAGE: Final = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)  # text that is no text was overwritten
DATABASE_ERRORS: Final = (apsw.Error, UnicodeDecodeError)


class Diagnosis:
    """Explains errors, and remembers what only a restored backup mends."""

    def __init__(self) -> None:
        self.is_damaged = False

    def explain(self, error: Exception) -> StoreUnavailableError:
        """See `explain_error`; may be called from any thread."""
        if isinstance(error, DAMAGE):
            self.is_damaged = True
        return explain_error(error)


def explain_error(error: Exception) -> StoreUnavailableError:
    """The problem that clients are told of, without the path of the file."""
    for kind, meaning in _MEANINGS:
        if isinstance(error, kind):
            return StoreUnavailableError(meaning)
    return StoreUnavailableError(f"The database failed: {type(error).__name__}")


def open_writer(path: Path) -> apsw.Connection:
    """Open the database for writing, create it where there is none, and bring it up to this version of the service.

    StoreRefusedError, StoreUnavailableError.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = apsw.Connection(os.fspath(path), flags=_OPEN_READ_WRITE | apsw.SQLITE_OPEN_CREATE)
        try:
            _prepare_writer(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path, *, cache_kib: int, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> apsw.Connection:
    """Open a database that exists for reading. StoreUnavailableError."""
    with _explained(path):
        connection = apsw.Connection(os.fspath(path), flags=_OPEN_READ_ONLY)
        connection.set_busy_timeout(busy_timeout_ms)
        connection.pragma("temp_store", "MEMORY")
        connection.pragma("cache_size", -cache_kib)
        return connection


def require_ours(connection: apsw.Connection, path: Path) -> None:
    """StoreRefusedError where the database is another program's or newer than this service."""
    application_id, version = connection.pragma("application_id"), connection.pragma("user_version")
    if application_id != APPLICATION_ID:
        raise StoreRefusedError(
            f"{path} is the database of another program; name another file in DEVOPS_API_DATABASE_URL"
        )
    newest = len(list_migrations())
    if version > newest:
        raise StoreRefusedError(
            f"{path} was written by a newer devops-api (schema {version}, this one knows {newest}); "
            "run that version, or restore a backup made before it"
        )


def list_migrations() -> list[tuple[str, str]]:
    """Name and SQL of each migration; the first leads from version 0 to 1."""
    folder = files("devops_api.items.store.sqlite").joinpath("migrations")
    found = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, entry.read_text(encoding="utf-8")) for name, entry in found]


def migrate(connection: apsw.Connection, path: Path, migrations: list[tuple[str, str]]) -> None:
    """Apply what is missing, each in a transaction of its own, one process after the other. StoreRefusedError."""
    for number, (name, sql) in enumerate(migrations, start=1):
        if connection.pragma("user_version") >= number:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.pragma("user_version") < number:
                connection.execute(sql)
                connection.pragma("user_version", number)
                connection.pragma("application_id", APPLICATION_ID)
            connection.execute("COMMIT")
        except apsw.Error as error:
            with contextlib.suppress(apsw.Error):
                connection.execute("ROLLBACK")
            if isinstance(error, apsw.SQLError | apsw.ConstraintError):
                raise StoreRefusedError(f"Migration {name} of {path} failed, and changed nothing: {error}") from error
            raise


class FileLock:
    """Says that a database is in use, beside it in a file of its own: SQLite's locks end with any handle on the file.

    Any number of services share it; a restore holds it alone.
    """

    def __init__(self, path: Path, *, exclusive: bool) -> None:
        """StoreUnavailableError where the database is in use, or is being restored."""
        lock_path = path.with_name(path.name + ".lock")
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            why = "is in use by a service; stop it first" if exclusive else "is being restored; start again afterwards"
            raise StoreUnavailableError(f"{path} {why}") from None

    def release(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)


def _prepare_writer(connection: apsw.Connection, path: Path) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    is_new = connection.pragma("application_id") == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").get
    if is_new:
        connection.pragma("page_size", PAGE_BYTES)
    else:
        require_ours(connection, path)
    if connection.readonly("main"):
        raise StoreUnavailableError(f"{path} is read-only; let the service's user write it and its folder")
    _switch_to_wal(connection)
    connection.pragma("journal_size_limit", WAL_KEPT_BYTES)
    connection.pragma("synchronous", "FULL")
    connection.pragma("foreign_keys", "ON")
    connection.pragma("temp_store", "MEMORY")
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
    migrate(connection, path, list_migrations())


def _switch_to_wal(connection: apsw.Connection) -> None:
    """Wait by hand for others that open the same new file: SQLite's own patience does not cover this switch."""
    gives_up_at = monotonic() + BUSY_TIMEOUT_MS / 1e3
    while True:
        try:
            connection.pragma("journal_mode", "WAL")
        except apsw.BusyError:
            if monotonic() > gives_up_at:
                raise
            sleep(0.01)
        else:
            return


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what opening a file raises into a sentence that says what to mend."""
    try:
        yield
    except apsw.NotADBError:
        raise StoreRefusedError(f"{path} is no SQLite database; name another file or restore a backup") from None
    except apsw.CorruptError as error:
        raise StoreRefusedError(f"{path} is damaged ({error}); restore a backup") from None
    except apsw.CantOpenError as error:
        raise StoreUnavailableError(f"{path} cannot be opened ({error}); see to its folder and rights") from None
    except apsw.Error as error:
        raise StoreUnavailableError(f"{path}: {explain_error(error)}") from error
    except OSError as error:
        raise StoreUnavailableError(f"{path} cannot be opened: {error.strerror}") from None
