"""What near-data actions moved between nodes, as a page tells it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hpc_connector.actions.counts import Row, add_up
from hpc_connector.report.facts import format_bytes, format_fact

MOST_ROWS = 40
HEADS = ("Action", "Node", "Ranks", "In", "Out", "Would move", "Moved", "Took")


class ActionTable(NamedTuple):
    """A sentence on what moved, and the rows of its table as text."""

    said: str
    heads: Sequence[str]
    rows: list[tuple[str, ...]]


def list_actions(rows: list[Row] | None) -> ActionTable | None:
    """Return what is told of a run's actions, a row a node; None where there are none.

    Of many nodes each action has one row.
    """
    if not rows:
        return None
    nodes = len({row["node"] for row in rows})
    shown = rows if len(rows) <= MOST_ROWS else [*map(join_nodes, split(rows))]
    return ActionTable(say_moved(rows, nodes), HEADS, [*map(format_row, shown)])


def say_moved(rows: list[Row], nodes: int) -> str:
    """Return in a sentence what moved of what would have."""
    total = add_up(rows)
    moved, would = total["moved_bytes"], total["would_move_bytes"]
    if total["ratio"] is None:
        return "All was on one node: nothing moved to another."
    return (
        f"Reduced on the {nodes} nodes where it was: {format_bytes(moved)} moved "
        f"between them, where {format_bytes(would)} would have "
        f"({100 * total['ratio']:.3g} %)."
    )


def split(rows: list[Row]) -> list[list[Row]]:
    """Return the rows of each action."""
    names = dict.fromkeys(row["action"] for row in rows)
    return [[row for row in rows if row["action"] == name] for name in names]


def join_nodes(rows: list[Row]) -> Row:
    """Return the rows of an action as one."""
    places = {"action": rows[0]["action"], "node": f"{len(rows)} nodes"}
    return places | {"ranks": sum(row["ranks"] for row in rows)} | add_up(rows)


def format_row(row: Row) -> tuple[str, ...]:
    """Return a row of the table."""
    names = ("in_bytes", "out_bytes", "would_move_bytes", "moved_bytes")
    counted: list[Any] = [format_bytes(row[name]) for name in names]
    places = row["action"], str(row["node"]), f"{row['ranks']:,}"
    return *places, *counted, format_fact("wall_s", row["wall_s"])
