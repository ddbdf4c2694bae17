"""What a run is given: dataset, databases, ions, and how the instrument resolves."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.formulas import read_formula
from hpc_connector.learner.annotation.ions import Candidates, Ions, make_ions
from hpc_connector.learner.annotation.patterns import Resolution
from hpc_connector.loader.spectra.ibd import check_ibd
from hpc_connector.loader.spectra.imzml import Imzml, find_ibd, read_imzml
from hpc_connector.loader.spectra.molecules import Database, read_database
from hpc_connector.notes import Assumption, add_counts
from metabolite_annotation.acquisition import (
    SIGNS,
    Choice,
    choose_instrument,
    choose_polarity,
    choose_profiles,
    choose_sigma,
)
from metabolite_annotation.adducts import make_chemistry, read_adducts
from metabolite_annotation.export import check_exports
from metabolite_annotation.options import Options


@dataclass(frozen=True)
class Setup:
    """What all ranks know before they begin.

    ``picked`` says of each spectrum whether it is a profile to centroid.
    """

    imzml: Imzml
    picked: np.ndarray
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
    polarity: Choice
    instrument: Choice
    adducts: tuple[str, ...]
    assumed: tuple[Assumption, ...]
    counted: Mapping[str, int]


def list_inputs(args: Options) -> list[str]:
    """Return the files that decide the results."""
    model = [args.model] if args.model else []
    return [args.dataset, find_ibd(args.dataset), *args.database, *model]


def read_inputs(args: Options) -> tuple[Setup, Library]:
    """Read all but the spectra, and make the ions."""
    check_exports(args.export)
    model = read_model(args)
    adducts = read_adducts(args)
    imzml = read_imzml(args.dataset, section=args.section)
    check_ibd(imzml, uuid=args.check, checksum=args.check)
    polarity = choose_polarity(args, imzml, adducts)
    instrument = choose_instrument(args, imzml)
    sigma, of_sigma = choose_sigma(args, instrument.value)
    picked, of_profiles, doubts = choose_profiles(args, imzml)
    chemistry, repeated = make_chemistry(args, adducts, polarity)
    databases = read_databases(args)
    try:
        formulas = [database.get_formulas() for database in databases]
        ions, candidates = make_ions(formulas, chemistry)
    except ValueError as error:
        raise BadInput(f"adducts, losses and modifications: {error}") from None
    charge, version = SIGNS[polarity.value], args.analysis_version
    resolution = Resolution(instrument.value, sigma, charge, version)
    assumed = [*imzml.assumed, *polarity.assumed, *instrument.assumed, *of_sigma]
    if not args.check:
        what = f"UUID and checksum of {imzml.ibd_path}"
        assumed.append(Assumption(what, "right", "--no-check leaves them out"))
    assumed += [one for database in databases for one in database.assumed]
    of_files = [imzml.counted, *(database.counted for database in databases)]
    library = Library(
        databases,
        candidates,
        model,
        polarity,
        instrument,
        chemistry.adducts,
        (*assumed, *doubts),
        add_counts([*of_files, of_profiles, repeated]),
    )
    return Setup(imzml, picked, ions, resolution), library


def read_databases(args: Options) -> list[Database]:
    """Read a share of the databases, whose file names must differ."""
    read_once = functools.cache(read_formula)
    skip = args.skip_bad_rows
    databases = [
        take_share(read_database(path, read_once, skip_bad_rows=skip), args.slice or 1)
        for path in args.database
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


def read_model(args: Options) -> Callable | None:
    """Return the scoring function of METASPACE-ML, None without a model."""
    if args.model is None:
        return None
    if args.analysis_version != 3:
        raise BadInput("--model needs --analysis-version 3, for which it was trained")
    from metabolite_annotation.scoring_model import load_model

    return load_model(args.model)
