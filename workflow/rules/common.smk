# What the rules of both programs share: the words of a run, and what it asks for.

import json
import shlex
from pathlib import Path


def list_beside(names, *suffixes):
    """Return the files of the same stem that exist, with which a run reads these."""
    beside = [Path(name).with_suffix(suffix) for name in names for suffix in suffixes]
    return [str(path) for path in beside if path.exists()]


def join_words(asked, *words):
    """Return the arguments of a run, for a shell: its files, then the user's options."""
    return " ".join([shlex.join(map(str, words)), asked.get("options", "")])


def get_epistasis_words(wildcards, input):
    labels = ["--labels", input.labels] if "labels" in input.keys() else []
    return join_words(
        config["epistasis"][wildcards.cohort], *input.genotypes, *labels
    )


def get_annotation_words(wildcards, input):
    return join_words(
        config["annotation"][wildcards.dataset],
        input.dataset,
        "--database",
        *input.databases,
    )


def get_epistasis_input(wildcards):
    asked = config["epistasis"][wildcards.cohort]
    found = {"genotypes": asked["genotypes"]}
    found["beside"] = list_beside(asked["genotypes"], ".bim", ".fam", ".sample")
    return found | ({"labels": asked["labels"]} if "labels" in asked else {})


def get_annotation_input(wildcards):
    asked = config["annotation"][wildcards.dataset]
    peaks = str(Path(asked["dataset"]).with_suffix(".ibd"))
    return {"dataset": asked["dataset"], "ibd": peaks, "databases": asked["databases"]}


def get_asked(plan):
    """Return what `hpc-connector telemetry recommend` would ask for, by its answer."""
    asked = json.loads(Path(plan).read_text())["allocation"]
    return {
        "nodes": asked["nodes"],
        "tasks": asked["nodes"] * asked["ntasks_per_node"],
        "threads": asked["cpus_per_task"],  # of each rank
        "mem_mb": -(-asked["mem_bytes"] // 10**6),  # of a node
        "runtime": -(-asked["time_s"] // 60),
    }
