"""What `mdr-epistasis run --plan` says a search takes, beside what it takes.

CPU seconds of the tasks on one rank, without start and reading; of the second of two
runs, for kernels compile in the first.

    python benchmarks/plan_mdr.py
"""

import argparse
import itertools
import json
import subprocess
import tempfile
from pathlib import Path

PROGRAM = "mdr-epistasis"
SIZES = {2: ((500, 3000), (2000, 3000), (10_000, 2000)), 3: ((500, 150), (5000, 120))}
PERMUTATIONS = {2: 50, 3: 10}
WAYS = ("complete", "exclude", "level")  # what is done with missing genotypes


def run(*words: object) -> str:
    """Run the program; return what it prints."""
    command = [PROGRAM, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure(folder: Path, order: int, size: tuple, folds: int, way: str, n: int) -> str:
    """Return a line: the search, its CPU seconds by the plan and measured."""
    individuals, variants = size
    cohort = folder / f"{order}-{individuals}-{way}"
    if not cohort.with_suffix(".bed").exists():
        options = ("--variants", variants, "--individuals", individuals, "--maf", 0.3)
        missing = ("--missing-rate", 0.0 if way == "complete" else 0.01)
        run("simulate", "--out", cohort, *options, *missing, "--heritability", 0.1)
    words = ["run", f"{cohort}.bed", "--order", order, "--folds", folds]
    words += ["--permutations", n, "--quiet"]
    words += ["--missing", "level"] if way == "level" else []
    outs = [Path(tempfile.mkdtemp(dir=folder)) / "out" for _ in range(2)]
    for out in outs:
        run(*words, "--out", out)
    said = json.loads(run(*words, "--out", folder / "none", "--plan"))["cpu_s"]
    took = json.loads((outs[1] / "manifest.json").read_text())["resources"]
    ratio = said / took["task_cpu_s"]
    name = f"{order:5}{individuals:13,}{folds:7}  {way:>8}{n:14}"
    return f"{name}{said:10.2f}{took['task_cpu_s']:10.2f}{ratio:8.2f}"


def main() -> None:
    """Print a table of all searches."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    print(
        "order  individuals  folds   missing  permutations    plan s    took s   ratio"
    )
    with tempfile.TemporaryDirectory() as folder:
        for order, sizes in SIZES.items():
            shapes = itertools.product(sizes, (1, 10), WAYS, (0, PERMUTATIONS[order]))
            for size, folds, way, n in shapes:
                print(measure(Path(folder), order, size, folds, way, n), flush=True)


if __name__ == "__main__":
    main()
