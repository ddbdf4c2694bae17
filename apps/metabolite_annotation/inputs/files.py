"""What a run is given: dataset, databases, ions, and how the instrument resolves."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.formulas import read_formula
from hpc_connector.learner.annotation.ions import Candidates, Chemistry, Ions, make_ions
from hpc_connector.learner.annotation.patterns import Resolution
from hpc_connector.loader.spectra.ibd import check_ibd
from hpc_connector.loader.spectra.imzml import Imzml, find_ibd, read_imzml
from hpc_connector.loader.spectra.molecules import Database, read_database
from hpc_connector.notes import Assumption, add_counts
from metabolite_annotation.export.formats import check_exports
from metabolite_annotation.inputs.acquisition import (
    SIGNS,
    Choice,
    choose_instrument,
    choose_polarity,
    choose_profiles,
    choose_sigma,
)
from metabolite_annotation.inputs.adducts import make_chemistry, read_adducts
from metabolite_annotation.inputs.scoring_model import Model, load_model
from metabolite_annotation.options import Options
from metabolite_annotation.report.extras import read_given


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
    model: Model | None
    polarity: Choice
    instrument: Choice
    adducts: tuple[str, ...]
    neutral_losses: tuple[str, ...]
    chem_mods: tuple[str, ...]
    assumed: tuple[Assumption, ...]
    counted: Mapping[str, int]


class Inputs(NamedTuple):
    """What a run has read before the spectra."""

    setup: Setup
    library: Library


def list_inputs(options: Options) -> list[str]:
    """Return the files that decide the results."""
    return [options.dataset, find_ibd(options.dataset), *list_known(options)]


def list_known(options: Options) -> list[str]:
    """Return the files that decide the results beside the dataset."""
    return [*options.database, *([options.model] if options.model else [])]


def read_inputs(
    options: Options, imzml: Imzml | None = None, *, checksum: bool = True
) -> Inputs:
    """Read all but the spectra, and make the ions.

    Parameters
    ----------
    imzml
        What is known of the dataset, where that is not read from its file.
    checksum
        Whether to compare that of the .ibd file, for which it is read, here; if at all.

    Raises
    ------
    BadInput
        A file or an option that cannot be used.
    """
    check_exports(options.export)
    read_given(options)  # what cannot be used is told before the search
    model = read_model(options)
    adducts = read_adducts(options)
    if imzml is None:
        imzml = read_imzml(options.dataset, section=options.section)
        check_ibd(imzml, uuid=options.check, checksum=options.check and checksum)
    polarity = choose_polarity(options, imzml, adducts)
    instrument = choose_instrument(options, imzml)
    width = choose_sigma(options, instrument.value)
    profiles = choose_profiles(options, imzml)
    chemistry, repeated = make_chemistry(options, adducts, polarity)
    databases = read_databases(options)
    ions, candidates = combine(databases, chemistry)
    charge, version = SIGNS[polarity.value], options.analysis_version
    resolution = Resolution(instrument.value, width.sigma, charge, version)
    assumed = [imzml.assumed, polarity.assumed, instrument.assumed, width.assumed]
    if options.pixel_size:
        assumed[0] = tuple(a for a in imzml.assumed if a.option != "--pixel-size")
    assumed += [trust_ibd(options, imzml), *(d.assumed for d in databases)]
    counted = [imzml.counted, *(d.counted for d in databases)]
    library = Library(
        databases,
        candidates,
        model,
        polarity,
        instrument,
        chemistry.adducts,
        chemistry.neutral_losses,
        chemistry.chem_mods,
        tuple(itertools.chain(*assumed, profiles.assumed)),
        add_counts([*counted, profiles.counted, repeated]),
    )
    return Inputs(Setup(imzml, profiles.picked, ions, resolution), library)


def combine(
    databases: Sequence[Database], chemistry: Chemistry
) -> tuple[Ions, list[Candidates]]:
    """Return the ions of databases, and which of them belong to each.

    Raises
    ------
    BadInput
        A formula that loses more than it has, or too few decoys.
    """
    try:
        return make_ions([d.get_formulas() for d in databases], chemistry)
    except ValueError as error:
        raise BadInput(f"adducts, losses and modifications: {error}") from None


def trust_ibd(options: Options, imzml: Imzml) -> tuple[Assumption, ...]:
    """Return that the .ibd file is taken for right, if it is not checked."""
    if options.check:
        return ()
    what = f"UUID and checksum of {imzml.ibd_path}"
    return (Assumption(what, "right", "--no-check leaves them out"),)


def read_databases(options: Options) -> list[Database]:
    """Read a share of the databases, whose file names must differ."""
    read_once = functools.cache(read_formula)
    skip = options.skip_bad_rows
    databases = [
        take_share(
            read_database(path, read_once, skip_bad_rows=skip), options.slice or 1
        )
        for path in options.database
    ]
    titles = [database.title for database in databases]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise BadInput(f"two databases are named {twice[0]}: expected different names")
    return databases


def take_share(database: Database, share: float) -> Database:
    """Return the molecules of some formulas, evenly among all."""
    if share == 1:
        return database
    formulas = database.get_formulas()
    n = max(1, round(share * len(formulas)))
    chosen = {formulas[k * len(formulas) // n] for k in range(n)}
    rows = zip(database.id, database.name, database.formula, strict=True)
    kept = [row for row in rows if row[2] in chosen]
    ids, names, of_kept = zip(*kept, strict=True)
    return replace(database, id=ids, name=names, formula=of_kept)


def read_model(options: Options) -> Model | None:
    """Return the scoring function of METASPACE-ML, None without a model."""
    if options.model is None:
        return None
    if options.analysis_version != 3:
        raise BadInput("--model needs --analysis-version 3, for which it was trained")
    return load_model(options.model)
