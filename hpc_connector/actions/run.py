"""A run of actions on text: each rank writes its share of the inputs to its node."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpc_connector.actions.area import near_data
from hpc_connector.actions.counts import Row, save_counts
from hpc_connector.actions.spec import (
    PIECE_BYTES,
    Spec,
    format_result,
    make_action,
    read_spec,
)
from hpc_connector.actions.tables import Table
from hpc_connector.errors import BadInput
from hpc_connector.manifest import is_in_use
from hpc_connector.partitioner import make_distribution
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.publish import publish
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice
from hpc_connector.slices.formats.text import CSV, Lines, partition_num_chunks
from hpc_connector.storage.address import is_encrypted


def run(
    comm: Communicator,
    path: Path,
    out: Path,
    scratch: Path | None = None,
    scratch_bytes: int | None = None,
) -> list[Row]:
    """Run the actions of a specification; return on rank 0 what was counted.

    Parameters
    ----------
    out
        New folder for a file an action, and ``actions.json``.
    scratch, scratch_bytes
        See :func:`~hpc_connector.actions.near_data`.
    """
    begun: tuple[Spec, Table, list[DataSlice]] | None = None
    with end_together(comm):
        if comm.rank == 0:
            if is_in_use(out):
                raise BadInput(f"{out} is not empty: expected a new folder")
            spec = read_spec(path)
            begun = (spec, *cut_inputs(spec))
            makes = [make_action(asked, begun[1]) for asked in spec.actions]
            out.mkdir(parents=True, exist_ok=True)
    spec, table, slices = comm.bcast(begun)
    cost = np.array([part.n_bytes for part in slices])
    first, last = make_distribution(cost, comm.size)[comm.rank :][:2].tolist()
    mine = slices[first:last]
    with near_data(comm, scratch, scratch_bytes=scratch_bytes) as area:
        makes = [make_action(asked, table) for asked in spec.actions]
        actions = [
            area.create(asked.name, make, asked.interleaving)
            for asked, make in zip(spec.actions, makes, strict=True)
        ]
        for record in read_records(mine):
            for action in actions:
                action.write([record])
        for asked in spec.actions:
            found = area.reduce(asked.name)
            if comm.rank == 0:
                with publish(out / f"{asked.name}.txt") as stream:
                    stream.write(format_result(asked, table, found))
    with end_together(comm):
        if comm.rank == 0:
            save_counts(out, area.rows)
    return area.rows


def cut_inputs(spec: Spec) -> tuple[Table, list[DataSlice]]:
    """Return what the rows of all inputs have in common, and slices at their lines.

    Slices do not depend on the number of ranks; their indexes are not kept.

    Raises
    ------
    BadInput
        A table has other columns than the first, or none; or an input is encrypted.
    """
    tables: dict[Table, str] = {}
    slices: list[DataSlice] = []
    for name in spec.inputs:
        if is_encrypted(name):
            raise BadInput(f"{name}: expected plain text, and it is encrypted")
        with tempfile.TemporaryDirectory() as folder:
            form = CSV if spec.table else Lines
            co = CloudObject.from_path(form, name, metadata=folder).preprocess()
            parts = partition_num_chunks(co, max(1, -(-co.size // PIECE_BYTES)))
            facts = co.attributes
        slices += [part for part in parts if part.n_bytes]
        if spec.table:
            if not facts["columns"]:
                raise BadInput(f"{name}: is empty: expected a table with a header")
            header = parts[0].read_bytes()[: facts["body"]]
            tables[Table(header, tuple(facts["columns"]), facts["delimiter"])] = name
    first = next(iter(tables), Table())
    for table, name in tables.items():
        if table.columns != first.columns or table.delimiter != first.delimiter:
            raise BadInput(
                f"{name}: columns {', '.join(table.columns)}: expected those of "
                f"{spec.inputs[0]}"
            )
    return first, slices


def read_records(slices: Sequence[DataSlice]) -> Iterator[bytes]:
    """Yield the rows of slices, without headers; a last line has its end."""
    for part in slices:
        data = part.read_bytes()[part.ranges[0][1] :]
        if data:
            yield data if data.endswith((b"\n", b"\r")) else data + b"\n"
