"""How the programs scale: run here on a few ranks, simulated on many nodes.

    python benchmarks/scaling.py [measure] [run] [simulate]      # all, without a word

`measure` prints what `rank_simulation.Machine` holds, as it is on this machine: median
CPU seconds of tasks, of loading and merging, and of a request to the counter by several
ranks at once. `run` runs both programs on 1, 2 and 4 ranks, with the same work for all
(strong scaling) and with as much more work as ranks (weak), and prints medians.
Efficiency by CPU time is what counts where others use the machine; ranks beyond the
number of cores share them, and wall times say nothing then. `simulate` prints how ranks
fare on up to 1,024 nodes (`rank_simulation.py` says what is assumed), and draws
`docs/scaling.svg`.
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import annotate_kernels
import annotate_runs
import numpy as np
import ranks
from rank_simulation import (
    INDIVIDUALS,
    POLICIES,
    RANKS_A_NODE,
    Machine,
    get_other_s,
    simulate_search,
)
from scaling_picture import draw_scaling

from hpc_connector.learner.mdr import search as learner
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.partitioner.launch import get_mpicomm
from mdr_epistasis import tasks as program
from mdr_epistasis.cohort import loading
from mdr_epistasis.cohort.folds import deal_folds

REPEATS = 3
RANKS = (1, 2, 4)
NODES = (1, 4, 16, 64, 128, 256, 512, 1024)
SHOWN = (1, 16, 128, 1024)
PERMUTATIONS = (0, 100, 1000)
SERVICES_S = (1e-6, 2e-6, 5e-6, 100e-6)  # the last without hardware for it
PICTURE = Path(__file__).parents[1] / "docs/scaling.svg"
NOTHING, STRONG = (40, 100), (30000, 4000)  # variants, individuals
WEAK = 12000  # variants of one rank
PIXELS = 12_000

ASK = """
import time
import numpy as np
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.partitioner.tickets import open_counters

comm, n = get_mpicomm(), 20_000
with open_counters(comm, 1) as add:
    comm.Barrier()
    cpu_s = time.process_time()
    for _ in range(n):
        add(0, 1)
    each_s = (time.process_time() - cpu_s) / n
all_s = comm.allgather(each_s)
if comm.rank == 0:
    print(np.median(all_s))
"""


def measure():
    """Print the parameters of the simulation as they are on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = f"{folder}/cohort"
        ranks.simulate(prefix, 4096, INDIVIDUALS)
        measure_cohort(f"{prefix}.bed")
    measure_merge()
    for n in RANKS:
        measure_counter(n)


def measure_cohort(path):
    """Print what it takes to load a cohort, and what tasks of a search take."""
    comm = get_mpicomm(serial=True)
    files, match = loading.read_header([path], [ReadOptions()])
    fold = deal_folds(match.is_case, 10, 42)
    for _ in range(2):  # the first compiles
        start_s = time.process_time()
        with loading.load_cohort(comm, files, match, fold, loading.Filters()) as cohort:
            load_s = time.process_time() - start_s
            n = cohort.n_variants
    print(f"load: {load_s / n * 1e6:.1f} us a variant")
    with loading.load_cohort(comm, files, match, fold, loading.Filters()) as cohort:
        measure_tasks(cohort)


def measure_tasks(cohort):
    """Print the rate of tasks of the sizes that 1 M variants have, and the spread."""
    question = learner.Question(permutations=program.PERMUTATIONS_A_TASK)
    genotypes = learner.make_genotypes(
        cohort.planes, cohort.n_variants, cohort.arrangement
    )
    best = learner.make_best(question, 10)
    chosen = list(range(program.PERMUTATIONS_A_TASK))
    maximum = np.full(len(chosen), -np.inf)
    labels = cohort.arrangement, cohort.is_case

    def search(tile):
        learner.search(genotypes, question, tile, best)

    def permute(tile):
        maximum[:] = learner.get_permutation_maximum(
            genotypes, question, *labels, tile, chosen, maximum
        )

    n_blocks = len(cohort.planes)
    for name, run_task, edge, n in (("search", search, 64, 1), ("", permute, 102, 16)):
        rng = np.random.default_rng(0)
        run_task((0, 1, 1, 2))  # compiles
        seconds = []
        for first in rng.integers(0, n_blocks - 2 * edge + 1, 12):
            start_s = time.process_time()
            run_task((first, first + edge, first + edge, first + 2 * edge))
            seconds.append(time.process_time() - start_s)
        rate = n * (16 * edge) ** 2 / np.median(seconds)
        print(
            f"{name or '16 permutations'}, tile of {edge} blocks: median "
            f"{np.median(seconds) * 1e3:.1f} ms, {rate / 1e6:.0f} M/s, spread "
            f"{np.std(np.log(seconds)):.3f}",
            flush=True,
        )


def measure_merge():
    """Print what it takes to merge the lists of two ranks."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        best = learner.make_best(learner.Question(), 10)
        best.key[:-1] = rng.random((1000, 3))
        best.model[:-1] = rng.integers(0, 10**6, (1000, 2))
        best.size[0] = 1000
        found.append(best._asdict() | {"maximum": np.zeros(100)})
    start_s = time.process_time()
    for here in found[1:]:
        program.merge([found[0], here], 1000)
    print(f"merge: {(time.process_time() - start_s) / 19 * 1e3:.2f} ms")


def measure_counter(n_ranks):
    """Print the CPU seconds of a request to the counter while all ranks ask."""
    command = ["mpirun", "-n", str(n_ranks), sys.executable, "-c", ASK]
    each_s = [float(subprocess.check_output(command)) for _ in range(REPEATS)]
    at_once = min(n_ranks, os.cpu_count() or 1)
    print(
        f"counter, {n_ranks} ranks: {np.median(each_s) * 1e6:.2f} us of CPU a request, "
        f"so at most {np.median(each_s) / at_once * 1e6:.2f} us for the counter itself",
        flush=True,
    )


def run():
    """Print strong and weak scaling of both programs on this machine."""
    n_cores = os.cpu_count()
    shared = [str(n) for n in RANKS if n > n_cores]
    print(f"{n_cores} cores", end="")
    print(f": {', '.join(shared)} ranks share them" if shared else "")
    with tempfile.TemporaryDirectory() as name:
        run_search(Path(name))
        run_annotation(Path(name))


def run_search(folder):
    """Print how mdr-epistasis scales; with as many more pairs as ranks, if weak."""

    def search(n_ranks, variants, individuals):
        prefix = f"{folder}/{variants}"
        ranks.simulate(prefix, variants, individuals)
        used, _ = ranks.measure(prefix, folder / "out", n_ranks, ["--folds", "10"])
        return used["cpu_s"], used["wall_s"]

    search(1, *NOTHING)  # compiles
    start = [get_medians(search, n, *NOTHING) for n in RANKS]
    strong = [get_medians(search, n, *STRONG) for n in RANKS]
    sizes = [(round(WEAK * n**0.5), STRONG[1]) for n in RANKS]
    weak = [get_medians(search, n, *size) for n, size in zip(RANKS, sizes, strict=True)]
    show_scaling("mdr-epistasis, strong", start, strong, [1] * len(RANKS))
    show_scaling("mdr-epistasis, weak", start, weak, RANKS)


def run_annotation(folder):
    """Print how metabolite-annotation scales; with as many more ions as ranks."""
    text = gzip.decompress(annotate_kernels.FORMULAS.read_bytes()).decode()
    formulas = text.split()
    small, large = folder / "small.imzML", folder / "large.imzML"
    annotate_kernels.simulate(small, n_pixels=20, n_noise=2)
    annotate_kernels.simulate(large, n_pixels=PIXELS)

    def annotate(n_ranks, dataset, part):
        database = folder / "formulas.tsv"
        some = formulas[: round(part * len(formulas))]
        rows = [f"{k}\tmolecule {k}\t{f}\n" for k, f in enumerate(some)]
        database.write_text("id\tname\tformula\n" + "".join(rows))
        return annotate_runs.measure(dataset, database, folder, n_ranks)[:2]

    annotate(1, large, 1)  # compiles
    start = [get_medians(annotate, n, small, 0.01) for n in RANKS]
    strong = [get_medians(annotate, n, large, 1) for n in RANKS]
    show_scaling("metabolite-annotation, strong", start, strong, [1] * len(RANKS))
    start = [get_medians(annotate, n, large, 0.01) for n in RANKS]  # and the peaks
    weak = [get_medians(annotate, n, large, n / max(RANKS)) for n in RANKS]
    show_scaling("metabolite-annotation, weak", start, weak, RANKS)


def get_medians(work, *what):
    """Return median CPU and wall seconds of some runs."""
    return np.median([work(*what) for _ in range(REPEATS)], axis=0)


def show_scaling(name, start, results, work):
    """Print medians, and the efficiency with and without what an empty run takes."""
    n_cores = os.cpu_count()
    (start_s, _), (alone_s, _) = start[0], results[0]
    for k, n in enumerate(RANKS):
        (empty_s, _), (cpu_s, wall_s) = start[k], results[k]
        shared = f"; {n} ranks on {n_cores} cores" if n > n_cores else ""
        print(
            f"{name}, {n} ranks: CPU {cpu_s:.2f} s, wall {wall_s:.2f} s, efficiency by "
            f"CPU {work[k] * alone_s / cpu_s:.1%}, without start "
            f"{work[k] * (alone_s - start_s) / (cpu_s - empty_s):.1%}{shared}",
            flush=True,
        )


def simulate():
    """Print and draw how ranks fare on many nodes."""
    machine, found = Machine(), {}
    for permutations in PERMUTATIONS:
        for n_nodes in NODES:
            other_s = sum(get_other_s(machine, n_nodes).values())
            for name in POLICIES:
                ends = simulate_search(machine, n_nodes, permutations, name)
                whole = float(ends.busy_s.mean()) / (ends.wall_s + other_s)
                found[permutations, n_nodes, name] = ends.efficiency, whole, ends.wall_s
                if n_nodes in SHOWN:
                    show_ends(permutations, n_nodes, name, ends, whole)
    for n_nodes in SHOWN:
        phases = get_other_s(machine, n_nodes).items()
        words = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in phases)
        print(f"beside the search, {n_nodes} nodes: {words}")
    show_services(machine)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw_scaling(found, NODES, PERMUTATIONS, POLICIES))
    print(PICTURE)


def show_ends(permutations, n_nodes, name, ends, whole):
    """Print how the ranks of one run fared."""
    idle_s = ends.wall_s - ends.busy_s.mean()
    print(
        f"{permutations:4} permutations, {n_nodes:4} nodes, "
        f"{n_nodes * RANKS_A_NODE:6} ranks, {name:23}: last rank after "
        f"{ends.wall_s:9.3f} s, idle {idle_s:8.3f} s a rank, efficiency "
        f"{ends.efficiency:6.1%}, of the whole job {whole:6.1%}",
        flush=True,
    )


def show_services(machine):
    """Print what a slower counter does to one pass."""
    for service_s in SERVICES_S:
        slower = replace(machine, service_s=service_s)
        for n_nodes in (16, 128):
            values = [
                f"{name} {simulate_search(slower, n_nodes, 0, name).efficiency:.1%}"
                for name in POLICIES[:2]
            ]
            print(
                f"counter of {service_s * 1e6:g} us, {n_nodes} nodes, one pass: "
                f"{', '.join(values)}",
                flush=True,
            )


PARTS = {"measure": measure, "run": run, "simulate": simulate}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="*", metavar="|".join(PARTS), default=list(PARTS))
    for part in parser.parse_args().part:
        PARTS[part]()


if __name__ == "__main__":
    main()
