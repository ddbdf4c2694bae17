"""What a run is given: dataset, databases, ions, and how the instrument resolves."""

import argparse
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hpc_connector.errors import BadInput
from hpc_connector.learner.elements import ISOTOPES, LABELS
from hpc_connector.learner.formulas import parse_formula
from hpc_connector.learner.ions import Candidates, Chemistry, Ions, make_ions
from hpc_connector.learner.patterns import Resolution, get_instrument, get_sigma
from hpc_connector.loader.ibd import check_ibd
from hpc_connector.loader.imzml import Imzml, find_ibd, read_imzml
from hpc_connector.loader.molecules import Database, read_database
from hpc_connector.notes import Assumption, add_counts
from metabolite_annotation.export import check_exports

ADDUCTS = {"positive": ("+H", "+Na", "+K"), "negative": ("-H", "+Cl")}


@dataclass(frozen=True)
class Setup:
    """What all ranks know before they begin."""

    imzml: Imzml
    ions: Ions
    resolution: Resolution


@dataclass(frozen=True)
class Library:
    """What rank 0 alone knows: molecules, and the ions of each database.

    ``model`` scores ions instead of MSM, if it is not None; ``assumed`` and ``counted``
    are of all inputs.
    """

    databases: Sequence[Database]
    candidates: Sequence[Candidates]
    model: Callable | None
    polarity: str
    adducts: tuple[str, ...]
    assumed: tuple[Assumption, ...]
    counted: Mapping[str, int]


def list_inputs(args: argparse.Namespace) -> list[str]:
    """Return the files that decide the results."""
    model = [args.model] if args.model else []
    return [args.dataset, find_ibd(args.dataset), *args.database, *model]


def read_inputs(args: argparse.Namespace) -> tuple[Setup, Library]:
    """Read all but the spectra, and make the ions."""
    check_exports(args.export)
    model = read_model(args)
    imzml = read_imzml(args.dataset, section=args.section)
    check_ibd(imzml, uuid=args.check, checksum=args.check)
    assumed = list(imzml.assumed)
    if not args.check:
        what = f"UUID and checksum of {imzml.ibd_path}"
        assumed.append(Assumption(what, "right", "--no-check leaves them out"))
    polarity = args.polarity or imzml.polarity or "positive"
    if imzml.polarity and polarity != imzml.polarity:
        raise BadInput(
            f"{args.dataset} was acquired in {imzml.polarity} mode: expected "
            f"--polarity {imzml.polarity}, found {polarity}"
        )
    if not args.polarity and not imzml.polarity:
        because = f"{args.dataset} names none"
        assumed.append(Assumption("polarity", polarity, because, "--polarity"))
    adducts = args.adducts or ADDUCTS[polarity]
    databases = read_databases(args.database, args.slice or 1.0)
    chemistry = Chemistry(
        tuple(adducts),
        tuple(args.neutral_losses),
        tuple(args.chem_mods),
        args.decoys,
        args.analysis_version,
        args.seed,
    )
    try:
        formulas = [database.get_formulas() for database in databases]
        ions, candidates = make_ions(formulas, chemistry)
    except ValueError as error:
        raise BadInput(f"adducts, losses and modifications: {error}") from None
    charge = 1 if polarity == "positive" else -1
    resolution = make_resolution(args, imzml.analyzer, charge)
    library = Library(
        databases,
        candidates,
        model,
        polarity,
        tuple(adducts),
        tuple(assumed),
        add_counts([imzml.counted, *(database.counted for database in databases)]),
    )
    return Setup(imzml, ions, resolution), library


def read_databases(paths: Sequence[str], share: float) -> list[Database]:
    """Read a share of the databases, whose file names must differ."""
    databases = [
        take_share(read_database(path, check_formula), share) for path in paths
    ]
    titles = [database.title for database in databases]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise BadInput(f"two databases are named {twice[0]}: expected different names")
    return databases


def take_share(database: Database, share: float) -> Database:
    """Return the molecules of some formulas, evenly among all."""
    formulas = database.get_formulas()
    n = max(1, round(share * len(formulas)))
    chosen = {formulas[k * len(formulas) // n] for k in range(n)}
    rows = zip(database.id, database.name, database.formula, strict=True)
    kept = [row for row in rows if row[2] in chosen]
    ids, names, of_kept = zip(*kept, strict=True)
    return replace(database, id=ids, name=names, formula=of_kept)


@functools.cache
def check_formula(text: str) -> None:
    """Raise ValueError for a formula that cannot be parsed."""
    for element in parse_formula(text.replace("=", "")):
        if element not in ISOTOPES and element not in LABELS:
            raise ValueError(f"{element!r} is no element")


def make_resolution(args: argparse.Namespace, analyzer: str, charge: int) -> Resolution:
    """Return what decides isotope patterns, by the options and the file."""
    instrument = args.instrument
    if instrument == "auto":
        instrument = get_instrument(analyzer)
    sigma = args.isocalc_sigma or get_sigma(instrument, *args.resolving_power)
    return Resolution(instrument, sigma, charge, args.analysis_version)


def read_model(args: argparse.Namespace) -> Callable | None:
    """Return the scoring function of METASPACE-ML, None without a model."""
    if args.model is None:
        return None
    if args.analysis_version != 3:
        raise BadInput("--model needs --analysis-version 3, for which it was trained")
    from metabolite_annotation.scoring_model import load_model

    return load_model(args.model)
