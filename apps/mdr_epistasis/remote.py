"""The tasks of a run in a function: packed for a store, and run from there."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hpc_connector.burst.package import Package, load_rows, save_package
from hpc_connector.learner.gmdr.scores import Scores
from hpc_connector.learner.mdr.bitplanes import Arrangement
from hpc_connector.learner.mdr.search import Question
from hpc_connector.pipeline.ledger import Arrays
from hpc_connector.storage.address import Source
from hpc_connector.storage.store import Range
from mdr_epistasis.tasks import Search, Task, Tasks, make_run_task

ARRANGEMENT = ("slot", "group_start", "group_size")
TASKS = ("tiles", "permuted")
SCORES = ("residual", "quantised", "strata")
PER_VARIANT = ("chromosome", "position", "role", "home")


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
        "score_bits": search.scores.bits if search.scores else 0,
    }
    arrays = {"planes": search.planes, "is_case": search.is_case}
    arrays |= {"number": search.number}
    arrays |= {"tiles": tasks.tiles, "permuted": tasks.permuted}
    arrays |= {name: getattr(search.arrangement, name) for name in ARRANGEMENT}
    arrays |= {name: getattr(search.question, name) for name in PER_VARIANT}
    arrays |= pack_scores(search)
    return save_package(folder, facts, arrays)


def pack_scores(search: Search) -> dict[str, Any]:
    """Return the scores and strata of a search as arrays, empty without."""
    empty, strata = np.zeros(0), search.strata
    scores = search.scores
    return {
        "residual": scores.residual if scores else empty,
        "quantised": scores.quantised if scores else empty.astype(np.int32),
        "strata": empty.astype(np.int64) if strata is None else strata,
    }


def run_tasks(package: Package, numbers: Sequence[int]) -> Arrays:
    """Run some tasks of a package; return what a ledger records of them.

    Of the genotypes the tiles of these tasks are read, and no others.
    """
    facts = package.facts
    names = (*SCORES, *ARRANGEMENT, *PER_VARIANT, *TASKS, "is_case", "number")
    arrays: Any = {name: load_rows(package, name) for name in names}
    tasks = Tasks(arrays["tiles"], arrays["permuted"], facts["permutations"])
    blocks = list_blocks([tasks[number] for number in numbers])
    residual, quantised, strata = (arrays[name] for name in SCORES)
    bits = facts["score_bits"]
    search = Search(
        load_rows(package, "planes", blocks),
        arrays["number"],
        Arrangement(*(arrays[name] for name in ARRANGEMENT)),
        arrays["is_case"],
        Question(**facts["question"], **{name: arrays[name] for name in PER_VARIANT}),
        Scores(residual, quantised, bits) if bits else None,
        strata if len(strata) else None,
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
