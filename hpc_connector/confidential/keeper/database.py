"""What a keeper remembers: objects, grants, and the starts of their jobs."""

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput

PATIENCE_S = 30.0  # with another process that writes
TABLES = """
create table if not exists objects (
    id text primary key, data text not null, name text not null,
    version integer not null, header blob not null, added real not null,
    revoked real);
create table if not exists grants (
    name text primary key, subject text not null, uid integer not null,
    data text not null, program text not null, made real not null,
    ends real not null, uses integer not null,
    cluster text, job_id text, revoked real);
create table if not exists starts (
    grant_name text not null, job_id text not null, restart integer not null,
    at real not null, primary key (grant_name, job_id, restart));
"""
NEWEST = "select max(version) from objects where data = ? and name = ?"


@dataclass(frozen=True)
class Stored:
    """An encrypted file whose header is kept.

    Parameters
    ----------
    id
        Of its seal, 32 hex digits.
    data
        The data set that it is of.
    version
        A later one of the same name replaces those before.
    revoked
        Seconds since 1970, None if it is not.
    """

    id: str
    data: str
    name: str
    version: int
    header: bytes
    added: float
    revoked: float | None = None


@dataclass(frozen=True)
class Grant:
    """What a person may have opened in one job.

    Parameters
    ----------
    subject, uid
        Of the token, and of the user on the cluster.
    data
        Names of data sets.
    made, ends, revoked
        Seconds since 1970; None where it did not happen.
    uses
        Starts of the job, at most.
    job_id
        That it is bound to, None as long as it is to none.
    """

    name: str
    subject: str
    uid: int
    data: tuple[str, ...]
    program: str
    made: float
    ends: float
    uses: int
    cluster: str | None = None
    job_id: str | None = None
    revoked: float | None = None


class Database:
    """A file of SQLite, which threads and processes share.

    Parameters
    ----------
    path
        Made if it is not there, for its owner alone.

    Raises
    ------
    BadInput
        It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self.rows = sqlite3.connect(
                path,
                timeout=PATIENCE_S,
                isolation_level=None,
                check_same_thread=False,
            )
            self.rows.execute("pragma journal_mode = wal")
            self.rows.executescript(TABLES)
        except (OSError, sqlite3.Error) as error:
            raise BadInput(f"{path}: {error}: expected a keeper's database") from None
        self.lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        self.rows.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Give the rows, of which all changes are made or none.

        Raises
        ------
        OSError
            They cannot be changed now: the disk is full, another process writes.
        """
        with self.lock, explain():
            self.rows.execute("begin immediate")
            try:
                yield self.rows
                self.rows.execute("commit")
            except BaseException:
                if self.rows.in_transaction:  # an error of the disk may have ended it
                    self.rows.execute("rollback")
                raise

    def ask(self, question: str, *values: Any) -> list[Any]:
        """Return the rows that answer a question."""
        with self.lock, explain():
            return self.rows.execute(question, values).fetchall()


@contextlib.contextmanager
def explain() -> Iterator[None]:
    """Raise an OSError for one of SQLite: nothing was asked for that cannot be."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"the keeper's database: {error}") from None


def save_object(database: Database, one: Stored) -> None:
    """Keep the header of an object.

    Raises
    ------
    BadInput
        It is of another data set, or is not newer than the one that it would replace.
    """
    with database.change() as rows:
        known = rows.execute("select data from objects where id = ?", (one.id,))
        if (row := known.fetchone()) and row[0] != one.data:
            raise BadInput(f"{one.name} is in {row[0]}: expected one data set")
        asked = (
            "select max(version) from objects where data = ? and name = ? and id != ?"
        )
        (newest,) = rows.execute(asked, (one.data, one.name, one.id)).fetchone()
        if newest is not None and newest >= one.version:
            raise BadInput(
                f"{one.name} of {one.data} is there in version {newest}: expected a "
                f"seal of a later one, found {one.version}"
            )
        values = (one.id, one.data, one.name, one.version, one.header, one.added)
        rows.execute(
            "insert or replace into objects values (?, ?, ?, ?, ?, ?, null)", values
        )


def list_objects(database: Database, data: Sequence[str] = ()) -> list[Stored]:
    """Return the objects of data sets, of all without a name."""
    marks = ", ".join("?" * len(data))
    asked = f"where data in ({marks})" if data else ""  # of marks alone
    rows = database.ask(
        f"select * from objects {asked} order by data, name, version", *data
    )
    return [Stored(*row) for row in rows]


def find_object(database: Database, name: str) -> tuple[Stored, bool] | None:
    """Return an object by its id, and whether there is no newer one; None if none."""
    rows = database.ask("select * from objects where id = ?", name)
    if not rows:
        return None
    one = Stored(*rows[0])
    ((newest,),) = database.ask(NEWEST, one.data, one.name)
    return one, one.version == newest


def save_grant(database: Database, grant: Grant) -> None:
    """Keep a grant."""
    who = (grant.name, grant.subject, grant.uid, json.dumps(grant.data))
    what = (grant.program, grant.made, grant.ends, grant.uses)
    with database.change() as rows:
        rows.execute(
            "insert into grants values (?, ?, ?, ?, ?, ?, ?, ?, null, null, null)",
            who + what,
        )


def list_grants(database: Database, name: str | None = None) -> list[Grant]:
    """Return all grants, or the one of a name, with a list of none if there is none."""
    if name is None:
        rows = database.ask("select * from grants order by made")
    else:
        rows = database.ask("select * from grants where name = ?", name)
    return [Grant(*(*row[:3], tuple(json.loads(row[3])), *row[4:])) for row in rows]


def bind_grant(database: Database, name: str, cluster: str, job_id: str) -> bool:
    """Bind a grant to a job; return whether it is, which it cannot be to another."""
    with database.change() as rows:
        rows.execute(
            "update grants set cluster = ?, job_id = ? "
            "where name = ? and job_id is null",
            (cluster, job_id, name),
        )
        found = rows.execute(
            "select cluster, job_id from grants where name = ?", (name,)
        ).fetchone()
    return bool(found == (cluster, job_id))


def count_starts(database: Database, name: str) -> int:
    """Return how many starts of its job have used a grant."""
    ((n,),) = database.ask("select count(*) from starts where grant_name = ?", name)
    return int(n)


def is_started(database: Database, name: str, job_id: str, restart: int) -> bool:
    """Return whether this start of a job has used a grant."""
    asked = "select 1 from starts where grant_name = ? and job_id = ? and restart = ?"
    return bool(database.ask(asked, name, job_id, restart))


def use_grant(database: Database, grant: Grant, job_id: str, restart: int) -> bool:
    """Have a start of a job use a grant, once; return whether it may."""
    with database.change() as rows:
        values = (grant.name, job_id, restart, time.time())
        rows.execute("insert or ignore into starts values (?, ?, ?, ?)", values)
        asked = "select count(*) from starts where grant_name = ?"
        (n,) = rows.execute(asked, (grant.name,)).fetchone()
        if n > grant.uses:
            rows.execute(
                "delete from starts "
                "where grant_name = ? and job_id = ? and restart = ?",
                values[:3],
            )
        return bool(n <= grant.uses)


def revoke(database: Database, name: str) -> str:
    """Revoke a grant or an object; return which of both it is, empty if neither."""
    with database.change() as rows:
        for table, key in (("grants", "name"), ("objects", "id")):
            done = rows.execute(
                f"update {table} set revoked = ? where {key} = ?",
                (time.time(), name),
            )
            if done.rowcount:
                return table.removesuffix("s")
    return ""
