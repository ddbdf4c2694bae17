"""The tasks of a run in a function: packed for a store, and run from there."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hpc_connector.burst.package import Package, load_rows, save_package
from hpc_connector.learner.mdr.bitplanes import Arrangement
from hpc_connector.learner.mdr.search import Question
from hpc_connector.pipeline.ledger import Arrays
from hpc_connector.storage.address import Source
from hpc_connector.storage.store import Range
from mdr_epistasis.tasks import Search, Task, Tasks, make_run_task

ARRANGEMENT = ("slot", "group_start", "group_size")
PER_VARIANT = ("chromosome", "position", "role")


def pack(search: Search, tasks: Tasks, folder: Source) -> tuple[str, int]:
    """Put what tasks need into a store; return the package's name, and bytes sent."""
    question = {
        name: value
        for name, value in asdict(search.question).items()
        if name not in PER_VARIANT
    }
    facts = {
        "permutations": tasks.permutations,
        "question": question,
    }
    arrays = {"planes": search.planes, "is_case": search.is_case}
    arrays |= {"number": search.number}
    arrays |= {"tiles": tasks.tiles, "permuted": tasks.permuted}
    arrays |= {name: getattr(search.arrangement, name) for name in ARRANGEMENT}
    arrays |= {name: getattr(search.question, name) for name in PER_VARIANT}
    return save_package(folder, facts, arrays)


def run_tasks(package: Package, numbers: Sequence[int]) -> Arrays:
    """Run some tasks of a package; return what a ledger records of them.

    Of the genotypes the tiles of these tasks are read, and no others.
    """
    facts = package.facts
    names = ("tiles", "permuted", "is_case", "number", *ARRANGEMENT, *PER_VARIANT)
    arrays: Any = {name: load_rows(package, name) for name in names}
    tasks = Tasks(arrays["tiles"], arrays["permuted"], facts["permutations"])
    blocks = list_blocks([tasks[number] for number in numbers])
    search = Search(
        load_rows(package, "planes", blocks),
        arrays["number"],
        Arrangement(*(arrays[name] for name in ARRANGEMENT)),
        arrays["is_case"],
        Question(**facts["question"], **{name: arrays[name] for name in PER_VARIANT}),
    )
    findings = search.make_findings()
    run_task = make_run_task(search, tasks, [findings])
    for number in numbers:
        run_task(number, 0)
    return findings.to_arrays()


def list_blocks(tasks: Sequence[Task]) -> list[Range]:
    """Return the ranges of blocks that tasks need, first and last + 1."""
    return sorted({
        (task.tile[k], task.tile[k + 1])
        for task in tasks
        for k in range(0, len(task.tile), 2)
    })  # fmt: skip
