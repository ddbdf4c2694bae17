"""What actions took in, gave, and moved between nodes: counted where it is sent."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hpc_connector.confidential.published import open_published
from hpc_connector.errors import BadInput
from hpc_connector.publish import publish

NAME = "actions.json"
FORMAT_VERSION = 1
OF_ROWS = {"action", "node", "ranks"}  # beside what is counted


@dataclass
class Counts:
    """Of an action on a node.

    Parameters
    ----------
    records, in_bytes
        That ranks have written to it.
    out_bytes
        That it gave.
    would_move_bytes
        That ranks of this node wrote to any node: their share, which without actions
        goes to the node of rank 0. Nothing goes from there.
    moved_bytes
        That were sent from this node to another.
    wall_s
        That its calls took, without waiting for records.
    """

    records: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    would_move_bytes: int = 0
    moved_bytes: int = 0
    wall_s: float = 0.0

    def __iadd__(self, other: "Counts") -> "Counts":
        """Add what another process has counted."""
        for field in fields(self):
            name = field.name
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


Row = dict[str, Any]  # action, node, ranks, and what is counted
Known = dict[tuple[str, int], Counts]  # by action and node


def make_rows(counted: Iterable[Known], n_ranks: Mapping[int, int]) -> list[Row]:
    """Return a row an action and node, of what all ranks have counted.

    Parameters
    ----------
    n_ranks
        Of each node.
    """
    joined: Known = {}
    for known in counted:
        for key, counts in known.items():
            joined.setdefault(key, Counts()).__iadd__(counts)
    return [
        {"action": action, "node": node, "ranks": n_ranks[node]} | asdict(counts)
        for (action, node), counts in joined.items()
    ]


def add_up(rows: Iterable[Row]) -> Row:
    """Return the totals of rows, and what moved of each byte that would have.

    That ratio is None where nothing would have moved.
    """
    total = Counts()
    for row in rows:
        total += Counts(**{field.name: row[field.name] for field in fields(Counts)})
    would = total.would_move_bytes
    return asdict(total) | {"ratio": total.moved_bytes / would if would else None}


def save_counts(out: Path, rows: Sequence[Row]) -> str:
    """Write ``actions.json`` to the folder of a run; return its name."""
    record = {
        "format_version": FORMAT_VERSION,
        "actions": list(rows),
        "total": add_up(rows),
    }
    with publish(out / NAME) as stream:
        stream.write(f"{json.dumps(record, indent=2)}\n".encode())
    return NAME


def save_moved(out: Path, rows: Sequence[Row]) -> list[str]:
    """Write ``actions.json`` of a run of several nodes; return the names of files.

    On one node nothing moves to another.
    """
    n_nodes = len({row["node"] for row in rows})
    return [save_counts(out, rows)] if n_nodes > 1 else []


def read_counts(out: Path) -> list[Row] | None:
    """Return the rows of the ``actions.json`` of a run; None if it has none.

    Raises
    ------
    BadInput
        It cannot be read.
    """
    path = out / NAME
    try:
        with open_published(path) as stream:
            record = json.load(stream)
        if record["format_version"] != FORMAT_VERSION:
            raise BadInput(
                f"{path} has format {record['format_version']}; this version reads "
                f"{FORMAT_VERSION}"
            )
        rows: list[Row] = record["actions"]
        add_up(rows)
        if not all(row.keys() >= OF_ROWS for row in rows):
            raise KeyError(*OF_ROWS)
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error!r}") from None
    return rows
