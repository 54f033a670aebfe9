"""The database file: opening, the lock that marks it as in use, its migrations, and what errors mean."""

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
WAL_KEPT_BYTES: Final = 64 * 1024 * 1024  # A longer log, which a long export can cause, is truncated to this.
# An import into a large database dirties two random index pages a row. Half of SQLite's default page size halves what
# is written, and a log of 64 MB gathers changes of the same page (together 1.6 times as fast).
PAGE_BYTES: Final = 2 * 1024
CHECKPOINT_PAGES: Final = 32_000
CACHE_KIB: Final = 7 * 1024  # More than an import's transaction dirties; pages that do not fit are written twice.
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
    (apsw.IOError, "The disk that holds the database fails to read or write"),
    (apsw.ConnectionClosedError, "The store is closed"),
    (apsw.InterruptError, "The read was interrupted"),
)
DAMAGE: Final = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)  # UnicodeDecodeError: text was overwritten.
DATABASE_ERRORS: Final = (apsw.Error, UnicodeDecodeError)


class Diagnosis:
    """Explains errors, and remembers damage, which only restoring a backup repairs."""

    def __init__(self) -> None:
        self.is_damaged = False

    def explain(self, error: Exception) -> StoreUnavailableError:
        """See `explain_error`; may be called from any thread."""
        if isinstance(error, DAMAGE):
            self.is_damaged = True
        return explain_error(error)


def explain_error(error: Exception) -> StoreUnavailableError:
    """Return the problem that clients get, without the path of the file."""
    for kind, meaning in _MEANINGS:
        if isinstance(error, kind):
            return StoreUnavailableError(meaning)
    return StoreUnavailableError(f"The database failed: {type(error).__name__}")


def open_writer(path: Path) -> apsw.Connection:
    """Open the database for writing; create it if necessary, and migrate it to this version of the service.

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
    """Open an existing database for reading. StoreUnavailableError."""
    with _explained(path):
        connection = apsw.Connection(os.fspath(path), flags=_OPEN_READ_ONLY)
        connection.set_busy_timeout(busy_timeout_ms)
        connection.pragma("temp_store", "MEMORY")
        connection.pragma("cache_size", -cache_kib)
        return connection


def require_ours(connection: apsw.Connection, path: Path) -> None:
    """Check the owner and the version. StoreRefusedError: another program's, or newer than this service."""
    application_id, version = connection.pragma("application_id"), connection.pragma("user_version")
    if application_id != APPLICATION_ID:
        raise StoreRefusedError(
            f"{path} is the database of another program; set DEVOPS_API_DATABASE_URL to another file"
        )
    newest = len(list_migrations())
    if version > newest:
        raise StoreRefusedError(
            f"{path} was written by a newer devops-api (schema {version}, this one knows {newest}); "
            "run that version, or restore a backup made before it"
        )


def list_migrations() -> list[tuple[str, str]]:
    """Return name and SQL of each migration; the first leads from version 0 to 1."""
    folder = files("devops_api.items.store.sqlite").joinpath("migrations")
    found = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, entry.read_text(encoding="utf-8")) for name, entry in found]


def migrate(connection: apsw.Connection, path: Path, migrations: list[tuple[str, str]]) -> None:
    """Apply missing migrations, each in its own transaction, one process after the other. StoreRefusedError."""
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
                raise StoreRefusedError(f"Migration {name} of {path} failed and changed nothing: {error}") from error
            raise


class FileLock:
    """Marks a database as in use. Any number of services share the lock; a restore holds it exclusively.

    It is a file beside the database, because SQLite's own locks end when any descriptor of the database is closed.
    """

    def __init__(self, path: Path, *, exclusive: bool) -> None:
        """Acquire the lock. StoreUnavailableError: the database is in use, or being restored."""
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
        """Release the lock."""
        os.close(self._descriptor)


def _prepare_writer(connection: apsw.Connection, path: Path) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    is_new = connection.pragma("application_id") == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").get
    if is_new:
        connection.pragma("page_size", PAGE_BYTES)
    else:
        require_ours(connection, path)
    if connection.readonly("main"):
        raise StoreUnavailableError(f"{path} is read-only; the service's user must be able to write it and its folder")
    _switch_to_wal(connection)
    connection.pragma("journal_size_limit", WAL_KEPT_BYTES)
    connection.pragma("synchronous", "FULL")
    connection.pragma("foreign_keys", "ON")
    connection.pragma("temp_store", "MEMORY")
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
    migrate(connection, path, list_migrations())


def _switch_to_wal(connection: apsw.Connection) -> None:
    """Switch, and wait for others that open the same new file: SQLite's busy timeout does not cover this."""
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
    """Turn the errors of opening a file into ones that say what to do."""
    try:
        yield
    except apsw.NotADBError:
        raise StoreRefusedError(f"{path} is not an SQLite database; set another file or restore a backup") from None
    except apsw.CorruptError as error:
        raise StoreRefusedError(f"{path} is damaged ({error}); restore a backup") from None
    except apsw.CantOpenError as error:
        raise StoreUnavailableError(f"{path} cannot be opened ({error}); check its folder and permissions") from None
    except apsw.Error as error:
        raise StoreUnavailableError(f"{path}: {explain_error(error)}") from error
    except OSError as error:
        raise StoreUnavailableError(f"{path} cannot be opened: {error.strerror}") from None
