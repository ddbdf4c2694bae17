"""A catalogue, opened: where it is, what is read of it, how it is written."""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from hpc_connector.catalogue.database import name_network, open_database, writing
from hpc_connector.catalogue.events import (
    EVENT,
    Event,
    apply,
    get_actor,
    insert_event,
    make_event,
    pack_event,
    sign_event,
)
from hpc_connector.catalogue.journal import Journal, merge
from hpc_connector.catalogue.records import check_text
from hpc_connector.cluster.site import get_site
from hpc_connector.confidential.chain import FIRST, get_time, hash_line
from hpc_connector.errors import BadInput

What = dict[str, Any]
Make = Callable[[], What | None]
USUAL = Path("~/.local/share/hpc_connector/catalog.sqlite")


@dataclass
class Catalog:
    """A catalogue.

    Parameters
    ----------
    path
        The file, or the folder of journals.
    tables
        Of the file, or those that are made of the journals.
    journal
        Of this process; None where events are in the file.
    signer
        Key by which its events are signed (Ed25519), None for no signature.
    """

    path: Path
    tables: sqlite3.Connection
    journal: Journal | None = None
    signer: Any = None
    has_own: bool = False  # events in its journal that are not in the tables yet

    @property
    def connection(self) -> sqlite3.Connection:
        """The tables, with all that this process has written."""
        if self.has_own:
            self.refresh()
        return self.tables

    def __enter__(self) -> Self:
        """Return the catalogue."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Close it."""
        self.tables.close()
        if self.journal:
            self.journal.close()

    def refresh(self) -> None:
        """See what other writers have written to their journals."""
        if self.journal:
            merge(self.path, self.tables)
            self.has_own = False

    def write(self, make: Make) -> bool:
        """Write an event, on the disk when this returns; return whether there was one.

        Parameters
        ----------
        make
            Returns what the event does, by what is in the catalogue: of a file no other
            writes meanwhile. None for nothing.
        """
        return bool(self.write_all([("", make)]))

    def write_all(self, makes: Iterable[tuple[str, Make]]) -> int:
        """Write several events at once, as :meth:`write`; return how many were written.

        To a file either all are written or none; to a journal in order, and a kill may
        leave the first of them.

        Parameters
        ----------
        makes
            Each with the id of its data set: it sees what those before it have written
            of that.
        """
        if self.journal is None:
            with writing(self.tables):
                return sum(self._append(make()) for _, make in makes)
        self.refresh()
        held: dict[str, What] = {}
        n = 0
        for name, make in makes:
            if name in held:
                n += self._flush(held)
            if what := make():
                held[name] = what
        return n + self._flush(held)

    def append(self, *whats: What) -> None:
        """Write events whatever is in the catalogue, as :meth:`write_all`."""
        if self.journal is None:
            self.write_all([(what["id"], partial(dict, what)) for what in whats])
            return
        for what in whats:
            check_text(what)
        told = [(what, read_time(self.tables, what["id"])) for what in whats]
        self.journal.append(told, self.signer)
        self.has_own = True

    def _flush(self, held: dict[str, What]) -> int:
        """Write what is held; return how many events that are."""
        n = len(held)
        if held:
            self.append(*held.values())
            held.clear()
        return n

    def _append(self, what: What | None) -> bool:
        """Add an event, if it is one, to the chain of the file, and do it."""
        if not what:
            return False
        check_text(what)
        last = read_last(self.tables)
        seq, prev, before = 1, FIRST, ""
        if last:
            seq, prev = last.seq + 1, hash_line(pack_event(last))
            before = last.time
        time = max(get_time(), before)
        event = sign_event(Event(seq, time, get_actor(), what, prev), self.signer)
        insert_event(self.tables, event)
        apply(self.tables, event)
        return True


def read_last(connection: sqlite3.Connection) -> Event | None:
    """Return the last event of a file."""
    row = connection.execute(
        f"SELECT {EVENT} FROM event ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return make_event(row) if row else None


def read_time(connection: sqlite3.Connection, name: str) -> str:
    """Return the time of the last event of a data set, empty if there is none."""
    (found,) = connection.execute(
        "SELECT max(time) FROM event WHERE json_extract(what, '$.id') = ?", (name,)
    ).fetchone()
    return str(found or "")


def find_place(chosen: str | None, site: Path | None = None) -> str:
    """Return where the catalogue is: as chosen, of the site, else the usual place."""
    return chosen or get_site(site).catalog or str(USUAL.expanduser())


def open_catalog(
    path: str | os.PathLike[str], *, is_new: bool = False, signer: Any = None
) -> Catalog:
    """Open a catalogue: a file, or with a slash at its end a folder of journals.

    Parameters
    ----------
    is_new
        It may be made.
    signer
        Key by which what is written is signed (Ed25519).

    Raises
    ------
    BadInput
        There is none, or it cannot be used.
    """
    place = Path(path)
    if not (os.fspath(path).endswith("/") or place.is_dir()):
        return Catalog(place, open_database(place, is_new=is_new), signer=signer)
    if not place.is_dir() and not is_new:
        raise BadInput(
            f"{place}/: there is no catalogue: hpc-connector catalog add makes one"
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{place}: {error.strerror}: expected a folder") from None
    connection = open_database(find_cache(place), is_new=True, sync="NORMAL")
    found = Catalog(place, connection, Journal(place), signer)
    found.refresh()
    return found


def find_cache(folder: Path) -> Path:
    """Return the file of the tables of a folder, on a local disk."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    base = base / "hpc_connector"
    if name_network(base):
        base = Path(tempfile.gettempdir(), f"hpc_connector-{os.geteuid()}")
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if base.stat().st_uid != os.geteuid():
        raise BadInput(f"{base} is of another user: expected XDG_CACHE_HOME of yours")
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return base / f"catalog-{name[:32]}.sqlite"
