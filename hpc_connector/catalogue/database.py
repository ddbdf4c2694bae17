"""The file of a catalogue: SQLite on a local disk, which events fill.

All tables but ``event`` are what the events say, so that a catalogue on a shared file
system, which is events in journals, has its tables in a file of this kind too.
"""

import contextlib
import ctypes
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from hpc_connector.errors import BadInput

FORMAT_VERSION = 1
BUSY_S, POLL_S = 60.0, 0.01  # that a writer waits for others
NETWORK = {  # file systems on which locks are unreliable, by statfs(2)'s f_type
    0x6969: "NFS",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
    0x00C36400: "CephFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x517B: "SMB",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x01021997: "9P",
}
SCHEMA = """
CREATE TABLE dataset(
    id TEXT, version INTEGER, title TEXT, description TEXT, publisher TEXT,
    created TEXT, modified TEXT, access TEXT, theme TEXT, license TEXT,
    fingerprint TEXT, is_newest INTEGER, PRIMARY KEY(id, version));
CREATE TABLE object(
    dataset TEXT, version INTEGER, n INTEGER, role TEXT, url TEXT, bytes INTEGER,
    tag TEXT, sha256 TEXT, format TEXT, media_type TEXT, compression TEXT,
    encryption TEXT, seal_signer TEXT, seal_version INTEGER, object_id TEXT,
    PRIMARY KEY(dataset, version, n),
    FOREIGN KEY(dataset, version) REFERENCES dataset(id, version) ON DELETE CASCADE);
CREATE TABLE slice_index(
    dataset TEXT, version INTEGER, n INTEGER, plugin TEXT, parameters TEXT, url TEXT,
    bytes INTEGER, slices_most INTEGER, of_tag TEXT, of_bytes INTEGER, made TEXT,
    PRIMARY KEY(dataset, version, n),
    FOREIGN KEY(dataset, version, n) REFERENCES object(dataset, version, n)
    ON DELETE CASCADE);
CREATE TABLE keyword(
    dataset TEXT, version INTEGER, word TEXT, PRIMARY KEY(dataset, version, word),
    FOREIGN KEY(dataset, version) REFERENCES dataset(id, version) ON DELETE CASCADE);
CREATE TABLE facts(
    dataset TEXT, version INTEGER, name TEXT, value TEXT,
    PRIMARY KEY(dataset, version, name),
    FOREIGN KEY(dataset, version) REFERENCES dataset(id, version) ON DELETE CASCADE);
CREATE TABLE policy(
    dataset TEXT PRIMARY KEY, roles TEXT, purpose TEXT, until TEXT,
    least_level INTEGER, least_cell INTEGER, top_most INTEGER, grants TEXT,
    keeper TEXT, contact TEXT);
CREATE TABLE provenance(
    dataset TEXT, version INTEGER, run_manifest_sha256 TEXT, program TEXT,
    program_version TEXT, measurement TEXT, parents TEXT, job TEXT,
    PRIMARY KEY(dataset, version),
    FOREIGN KEY(dataset, version) REFERENCES dataset(id, version) ON DELETE CASCADE);
CREATE TABLE event(
    seq INTEGER PRIMARY KEY, time TEXT, actor TEXT, what TEXT, prev TEXT, sig TEXT,
    file TEXT, line INTEGER);
CREATE INDEX event_of ON event(json_extract(what, '$.id'), time, file, line, seq);
CREATE TABLE journal(
    file TEXT PRIMARY KEY, bytes INTEGER, lines INTEGER, last TEXT, damaged TEXT);
CREATE VIRTUAL TABLE text USING fts5(id, title, description, keywords, facts);
"""


class StatFs(ctypes.Structure):
    """What statfs(2) says; no more of it than its first field is read."""

    _fields_ = (("f_type", ctypes.c_long), ("rest", ctypes.c_char * 240))


def name_network(path: Path) -> str:
    """Return the name of the network file system that a path is on, empty for none."""
    place, found = path.absolute(), StatFs()
    while not place.exists():
        place = place.parent
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(place), ctypes.byref(found)):
        return ""
    return NETWORK.get(found.f_type & 0xFFFFFFFF, "")


def open_database(
    path: Path, *, is_new: bool = False, sync: str = "FULL"
) -> sqlite3.Connection:
    """Return the connection of a catalogue's file, which is made if there is none.

    Parameters
    ----------
    is_new
        Whether it may be made.
    sync
        Of SQLite: with FULL what is told done is on the disk; NORMAL does for tables
        that can be made again.

    Raises
    ------
    BadInput
        It is not there, is no catalogue, is of a newer version, or lies on a file
        system of a network.
    """
    if network := name_network(path):
        raise BadInput(
            f"{path} is on {network}, where SQLite's locks are unreliable: expected a "
            f"folder of journals, --catalog {path.with_suffix('')}/"
        )
    if not is_new and not path.exists():
        raise BadInput(
            f"{path}: there is no catalogue: hpc-connector catalog add makes one"
        )
    try:
        if is_new:
            path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise BadInput(f"{path}: cannot be opened: {error}") from None
    try:
        _prepare(connection, path)
        connection.execute(f"PRAGMA synchronous = {sync}")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file; see what an old one is."""
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            _use_log(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        if found == 0:
            found = _make_tables(connection, path)
    except sqlite3.OperationalError as error:  # it is locked, or cannot be written
        raise BadInput(f"{path}: cannot be opened: {error}") from None
    except sqlite3.DatabaseError as error:
        raise BadInput(f"{path} is no catalogue: {error}") from None
    if found != FORMAT_VERSION:
        raise BadInput(
            f"{path} has format {found}; this version reads {FORMAT_VERSION}: expected "
            "a newer hpc-connector"
        )


def _use_log(connection: sqlite3.Connection) -> None:
    """Have a file written ahead to a log: then readers and writers do not wait.

    SQLite gives up at once where another process is just doing so.
    """
    end_s = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > end_s:
                raise
        time.sleep(POLL_S)


def _make_tables(connection: sqlite3.Connection, path: Path) -> int:
    """Make the tables, unless another process was first; return the format."""
    with writing(connection):
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found:
            return int(found)
        (n_tables,) = connection.execute(
            "SELECT count(*) FROM sqlite_master"
        ).fetchone()
        if n_tables:
            raise BadInput(f"{path} is no catalogue: it has other tables")
        for statement in SCHEMA.strip().split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    return FORMAT_VERSION


@contextlib.contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all that is done within, or nothing; other writers wait.

    Raises
    ------
    BadInput
        Another has written for too long, or the file may not be written.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise BadInput(f"the catalogue cannot be written: {error}") from None
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def dump(value: object) -> str:
    """Return JSON of a column."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
