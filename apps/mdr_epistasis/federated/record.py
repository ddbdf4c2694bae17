"""The folder of results of a federated search: how it begins, and what it holds."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpc_connector import storer
from hpc_connector.federation.pooled import RANK_BY
from hpc_connector.federation.release import list_rules
from hpc_connector.federation.study import Study
from hpc_connector.manifest import begin_run, describe_input, save_manifest
from hpc_connector.run_record import RunRecord
from mdr_epistasis.federated.search import Found
from mdr_epistasis.options import Options
from mdr_epistasis.output.result import Result, save_results
from mdr_epistasis.report.page import save_report

PROGRAM = "mdr-epistasis"


def begin(
    args: Options, study: Study, inputs: Sequence[str], transport: str
) -> RunRecord:
    """Make the folder of the results; return the record so far.

    Parameters
    ----------
    inputs
        Files that decide the results. Their checksums are in the record before
        anything is sent: a search goes on with the same ones alone.
    transport
        How sums are made, for the report.

    Raises
    ------
    BadInput
        The folder holds something else, or a search of other files or options.
    """
    record = begin_run(PROGRAM, args, inputs, resume=args.resume)
    if record["status"] == "done":
        return record
    record["inputs"] = [describe_input(path) for path in inputs]
    record["command"] = shlex.join([PROGRAM, "federate", *args.words])
    record["federation"] = {
        "study": study.name,
        "sha256": study.sha256,
        "transport": transport,
        "scorer": study.scorer,
        "rules": list(list_rules(study.release, study.top)),
    }
    save_manifest(args.out, record)
    return record


def describe_found(
    record: RunRecord, study: Study, found: Found, n_listed: int
) -> None:
    """Add to the record what was searched, of all sites together."""
    total, kept = found.total, found.kept
    m = len(kept.layout.rows)
    record["cohort"] = {
        "individuals": sum(total),
        "cases": total[0],
        "controls": total[1],
        "variants_read": n_listed,
        "variants_kept": m,
        "removed": kept.removed,
        "notes": list(kept.notes),
    }
    record["search"] = {"order": 2, "folds": study.folds, "models": m * (m - 1) // 2}
    some = "those that may be among the best"
    record["federation"] |= {
        "pairs_by_folds": "all" if kept.by_folds else some,
        "cells_hidden": found.out.get("hidden", 0),
        "queries": found.out["queries"],
    }


def get_attributes(study: Study, levels: int) -> dict[str, Any]:
    """Return what the file of results says of the search, as that of one cohort."""
    return {
        "order": study.order,
        "folds": study.folds,
        "levels": levels,
        "rank_by": RANK_BY[study.rank_by if study.folds > 1 else "whole"],
        "permutation_test": "labels",
    }


def save_found(args: Options, record: RunRecord, study: Study, found: Found) -> Result:
    """Write the results and the manifest; return the result."""
    out, attributes = found.out, get_attributes(study, found.out["levels"])
    result = Result(out["columns"], found.variants, None, attributes, record)
    names = save_results(args.out, result)
    if "tables" in out:
        storer.save_table(args.out / "tables.tsv", out["tables"])
        names.append("tables.tsv")
    record |= {"status": "done", "outputs": [*names, "report.html"]}
    save_manifest(args.out, record)
    save_report(args.out)
    return result


def name_state(args: Options) -> Path:
    """Return the folder of what a site remembers of its attempt with a hub."""
    return args.out / "ledger" / "attempt"


def clear(args: Options) -> None:
    """Remove what a search needs to go on: it is over."""
    shutil.rmtree(args.out / "ledger")
