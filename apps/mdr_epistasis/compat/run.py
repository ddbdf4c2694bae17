"""``--compat bsc``: the files that BSC's Spark program writes, for its users to check.

One file a pair of sample files, ``mdr_FIRST_SECOND.gz``, a line a pair of variants:
both keys and the accuracy of the five test folds, best 1.
"""

import gzip
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.genotypes.samples import read_sample
from hpc_connector.loader.individuals import Match
from hpc_connector.manifest import get_time, save_manifest
from hpc_connector.notes import add_counts, log_notes, make_notes
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.access import share_keys
from hpc_connector.pipeline.ranks import run_on_ranks
from hpc_connector.pipeline.resources import Usage, get_resources
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.publish import publish
from hpc_connector.run_record import RunRecord
from mdr_epistasis.compat.bsc import get_fold_accuracy
from mdr_epistasis.compat.inputs import check_options, get_name, read_inputs
from mdr_epistasis.options import Options
from mdr_epistasis.output.record import begin
from mdr_epistasis.output.result import Ending

logger = logging.getLogger(__name__)

BLOCK_PAIRS = 1 << 17  # scored at once: 90 counts each, 50 MB


def run(comm: Communicator, args: Options, since: Usage = Usage()) -> Ending:  # noqa: B008
    """Score every pair of variants of every pair of files into ``args.out``.

    Parameters
    ----------
    since
        What this process had used before; nothing, where it was started for the run.
    """
    start_s = time.time()
    check_options(args)
    record = comm.bcast(begin(args) if comm.rank == 0 else None)
    if record["status"] == "done":
        logger.info("%s is complete, nothing is left to do", args.out)
        return Ending(True)
    files, match, pairs = comm.bcast(read_inputs(args) if comm.rank == 0 else None)
    share_keys(comm)
    if comm.rank == 0:
        assumed = [one for file in files for one in file.assumed]
        of_headers = add_counts([match.counted, *(file.counted for file in files)])
        record |= make_notes([*match.assumed, *assumed], of_headers)
        log_notes(record)
    is_done, counted = score_files(comm, args, files, match, pairs)
    record["resources"] = get_resources(comm, args.threads, start_s, since=since)
    if comm.rank == 0:
        log_notes({"assumed": (), "counted": counted})
        record["counted"] = add_counts([record["counted"], counted])
        finish(args, record, is_done)
    return Ending(is_done)


def finish(args: Options, record: RunRecord, is_done: bool) -> None:
    """Write the manifest, and say where the results are."""
    record |= {"finished": get_time(), "status": "done" if is_done else "stopped"}
    record["outputs"] = sorted(path.name for path in args.out.glob("mdr_*.gz"))
    save_manifest(args.out, record)
    if not is_done:
        logger.warning("stopped on request; %s can be resumed (--resume)", args.out)
        return
    (args.out / "ledger").rmdir()  # last: without it the run is complete
    print(f"results: {args.out}/mdr_*.gz, {len(record['outputs'])} files")


def score_files(
    comm: Communicator,
    args: Options,
    files: Sequence[SampleFile],
    match: Match,
    pairs: Sequence[tuple[int, int]],
) -> tuple[bool, dict[str, int]]:
    """Score the pairs of files that are left.

    Returns
    -------
    Whether all are done, and what the genotype files that were read counted.
    """
    order = np.argsort(match.columns[0])  # folds are neighbours in the file
    is_case = match.is_case[order] == 1
    names = [get_name(file.path) for file in files]

    counted: dict[int, Counter[str]] = {}  # by file, for one may be read again

    @lru_cache(maxsize=2 * args.threads)
    def read(k: int) -> tuple[list[str], np.ndarray]:
        keys, genotypes, counted[k] = read_keys(files[k], match.columns[k][order])
        return keys, genotypes

    paths = [args.out / f"mdr_{names[i]}_{names[j]}.gz" for i, j in pairs]

    def run_task(number: int, _: int) -> None:
        i, j = pairs[number]
        save_lines(paths[number], make_lines(read(i), read(j), is_case))

    todo = [number for number, path in enumerate(paths) if not path.exists()]
    outcome = run_on_ranks(
        comm,
        run_task,
        comm.bcast(todo),
        lambda *_: None,
        threads=args.threads,
        show=make_progress(quiet=args.quiet),
    )
    of_files = {k: n for share in comm.allgather(counted) for k, n in share.items()}
    return outcome.is_done, add_counts(of_files.values())


def read_keys(
    file: SampleFile, column: np.ndarray
) -> tuple[list[str], np.ndarray, Counter[str]]:
    """Return keys and genotypes of all variants, and what was counted."""
    keys: list[str] = []
    genotypes = [np.empty((0, len(column)), np.int8)]
    counted: Counter[str] = Counter()
    for block in read_sample(file, 0, 1):
        v = block.variants
        keys += map(make_key, v.chromosome, v.id, v.position)
        genotypes.append(block.genotypes[:, column])
        counted.update(block.counted)
    return keys, np.concatenate(genotypes), counted


def make_key(chromosome: str, name: str, position: int) -> str:
    """Return chromosome-id-position; an id that the file lacks is that already."""
    is_key = name.startswith(f"{chromosome}-")
    return name if is_key else f"{chromosome}-{name}-{position}"


def make_lines(
    first: tuple[list[str], np.ndarray],
    second: tuple[list[str], np.ndarray],
    is_case: np.ndarray,
) -> Iterator[str]:
    """Yield a line for every pair, some rows of pairs at a time."""
    keys_i, block_i = first
    keys_j, block_j = second
    step = max(1, BLOCK_PAIRS // max(1, len(keys_j)))
    for at in range(0, len(keys_i), step):
        scores = get_fold_accuracy(block_i[at : at + step], block_j, is_case).tolist()
        for key_i, row in zip(keys_i[at : at + step], scores, strict=True):
            for key_j, folds in zip(keys_j, row, strict=True):
                yield f"{key_i} {key_j} {' '.join(map(repr, folds))}\n"


def save_lines(path: Path, lines: Iterator[str]) -> None:
    """Write gzipped text, the same bytes each time."""
    with (
        publish(path) as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as stream,
    ):
        stream.writelines(line.encode() for line in lines)
