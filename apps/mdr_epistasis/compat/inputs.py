"""The inputs of ``--compat bsc``, and the options that it has no use for."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.genotypes.text.bsc import read_file_pairs
from hpc_connector.loader.individuals import Match
from hpc_connector.partitioner import get_comb_files
from hpc_connector.storage import address
from mdr_epistasis.inputs import open_files
from mdr_epistasis.options import Options

FIXED: dict[str, Any] = {
    "order": 2,
    "slice": None,
    "burst": None,
    "results_stream": None,
    "engine": "mpi",
    "permutations": 0,
    "all_models": False,
    "fold_file": None,
    "groups": None,
    "keep": None,
    "remove": None,
    "mind": 1.0,
    "chr": None,
    "from_bp": None,
    "to_bp": None,
    "extract": None,
    "exclude": None,
    "hwe": 0.0,
    "ld_prune": None,
    "x_chr_model": None,
    "variants": None,
    "with_variants": None,
    "sets": None,
    "min_distance_bp": 0,
    "missing": "exclude",
    "tie": "high",
    "rank_by": "test",
    "phenotype": None,
    "trait": None,
    "trait_kind": "auto",
    "covariates": None,
    "covariate_names": None,
    "strata": None,
    "score_bits": 8,
}


class PairedInputs(NamedTuple):
    """What a run is given.

    Parameters
    ----------
    pairs
        Of files to combine, by their places.
    """

    files: list[SampleFile]
    match: Match
    pairs: list[tuple[int, int]]


def read_inputs(args: Options) -> PairedInputs:
    """Open the files, match their individuals with the labels, and choose pairs."""
    check_options(args)
    return PairedInputs(*open_files(args), choose_pairs(args))


def check_options(args: Options) -> None:
    """Refuse options that would change what BSC's program computes."""
    for name, value in FIXED.items():
        if getattr(args, name) != value:
            option = name.replace("_", "-")
            raise BadInput(f"--{option} does not go with --compat bsc")


def choose_pairs(args: Options) -> list[tuple[int, int]]:
    """Return the pairs of files to combine: those of the list, or all i <= j."""
    names = Counter(map(get_name, args.genotypes))
    if (twice := names.most_common(1)[0])[1] > 1:
        raise BadInput(
            f"{twice[1]} files are called {twice[0]}, and so would their results be: "
            "expected each under a name of its own"
        )
    if args.file_pairs is None:
        return [(i, j) for i, j in get_comb_files(len(args.genotypes)).tolist()]
    place = {get_name(path): k for k, path in enumerate(args.genotypes)}
    pairs = read_file_pairs(args.file_pairs, place.keys())
    return [(place[first], place[second]) for first, second in pairs]


def get_name(path: str) -> str:
    """Return the name of a sample file without its endings."""
    return Path(address.get_name(path)).name.removesuffix(".gz")
