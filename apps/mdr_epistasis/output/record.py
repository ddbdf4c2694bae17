"""The record of a search: how it begins, and what its manifest says of it."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.individuals import Match
from hpc_connector.manifest import begin_run, get_software, get_time
from hpc_connector.notes import add_counts, make_notes
from hpc_connector.pipeline.executor import check_options
from hpc_connector.run_record import RunRecord
from mdr_epistasis.cohort.lists import Lists, count_unknown
from mdr_epistasis.cohort.loading import Cohort
from mdr_epistasis.cohort.sets import Sets, count_unlisted
from mdr_epistasis.cohort.traits import Trait, has_controls
from mdr_epistasis.inputs import list_inputs
from mdr_epistasis.options import Options
from mdr_epistasis.tasks import Tasks


def begin(args: Options) -> RunRecord:
    """Make or check the folder of the run; return the record so far."""
    check_options(args)
    if args.burst and args.all_models:
        raise BadInput("--all-models: four bytes a model would travel: not for --burst")
    inputs = list_inputs(args)
    record = begin_run("mdr-epistasis", args, inputs, resume=args.resume)
    if args.all_models:
        (args.out / "all_models").mkdir(exist_ok=True)
    return record


def list_notes(
    files: Sequence[SampleFile],
    match: Match,
    cohort: Cohort,
    lists: Lists,
    sets: Sets | None,
) -> RunRecord:
    """Return the notes for the manifest: assumed, left out, changed."""
    assumed = [one for file in files for one in file.assumed]
    counted = [cohort.facts.pop("counted"), *(file.counted for file in files)]
    ids = cohort.variants["id"]
    counted += [match.counted, count_unknown(lists, ids.tolist())]
    counted += [count_unlisted(sets, ids)]
    return make_notes([*match.assumed, *assumed], add_counts(counted))


def describe_cohort(
    cohort: Cohort, notes: list[str], trait: Trait | None = None
) -> dict[str, Any]:
    """Return the cohort's part of the manifest."""
    n_cases = int((cohort.is_case == 1).sum())
    n = len(cohort.is_case)
    counts = {"individuals": n, "cases": n_cases, "controls": n - n_cases}
    if not has_controls(trait):
        counts = {"individuals": n, "above_expected": n_cases}
    return counts | cohort.facts | {"notes": notes}


def describe_search(args: Options, cohort: Cohort, tasks: Tasks) -> dict[str, Any]:
    """Return the search's part of the manifest."""
    m = cohort.n_variants
    models = m * (m - 1) // 2 if args.order == 2 else m * (m - 1) * (m - 2) // 6
    return {
        "order": args.order,
        "folds": cohort.arrangement.folds,
        "models": models,
        "tasks": len(tasks),
    }


def make_record(
    parameters: dict[str, Any],
    options: Options,
    cohort: Cohort,
    tasks: Tasks,
    trait: Trait | None = None,
) -> RunRecord:
    """Return the record of a search of arrays, which read no file."""
    return {
        "program": "mdr-epistasis",
        "version": version("hpc_connector"),
        "status": "done",
        "finished": get_time(),
        "command": "mdr_epistasis.search(genotypes, is_case, ...)",
        "parameters": {n: v for n, v in parameters.items() if n != "threads"},
        "inputs": [],
        "software": get_software(),
        "assumed": [],
        "counted": {},
        "cohort": describe_cohort(cohort, [], trait),
        "search": describe_search(options, cohort, tasks),
        "outputs": [],
    }
