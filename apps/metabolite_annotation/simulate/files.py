"""The files of a simulated dataset: imzML by pyimzML's writer, and the truth."""

import shlex
import uuid
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.formulas import read_formula
from hpc_connector.learner.annotation.modifiers import drop_repeated, read_adduct
from hpc_connector.learner.annotation.patterns import Resolution, get_sigma
from hpc_connector.loader.spectra.molecules import read_database
from hpc_connector.publish import publish
from metabolite_annotation.inputs.acquisition import SIGNS, Choice
from metabolite_annotation.inputs.adducts import ADDUCTS, check_charges
from metabolite_annotation.output.imzml import Point, save_imzml
from metabolite_annotation.simulate.design import (
    Disc,
    Planted,
    Targets,
    list_targets,
    plant,
)
from metabolite_annotation.simulate.instruments import EXPONENTS, PROFILES, Profile
from metabolite_annotation.simulate.options import SimulateOptions
from metabolite_annotation.simulate.spectra import Spectrum, draw_spectra

COLUMNS = (
    *("formula", "adduct", "ion", "mz", "planted", "in_database"),
    *("amplitude", "n_pixels", "discs"),
)
SPACE = uuid.UUID("8c2c9a63-5a4e-5f0a-9d0b-1f6d2c3a7e55")  # of names of datasets


def simulate(options: SimulateOptions) -> str:
    """Write a dataset and the truth about it; return the command to annotate it.

    The same options give the same bytes, wherever they are written.

    Raises
    ------
    BadInput
        What cannot be simulated, read or written.
    """
    check_writer(options.out)
    design, profile = options.get_design(), get_profile(options)
    sigma = get_sigma(options.instrument, profile.resolving_power, 200)
    resolution = Resolution(options.instrument, sigma, SIGNS[options.polarity])
    database = read_database(options.database, read_formula)
    formulas = database.get_formulas()
    targets = list_targets(formulas, read_adducts(options), resolution)
    planted = plant(design, targets, resolution)
    n_pixels = np.zeros(len(planted.names), np.int64)
    spectra = draw_spectra(design, planted, options.instrument, profile)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        number = make_number(options, formulas)
        save_imzml(options.out, options.polarity, number, _count(spectra, n_pixels))
        save_truth(get_truth_path(options.out), targets, planted, n_pixels)
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"--out {options.out} cannot be written: {reason}") from error
    return say_command(options, profile)


def check_writer(out: Path) -> None:
    """Raise where the dataset cannot be written.

    Raises
    ------
    BadInput
        Another ending than .imzML, or no pyimzML.
    """
    if out.suffix != ".imzML":
        raise BadInput(f"--out {out}: expected a name that ends with .imzML")
    if find_spec("pyimzml") is None:
        raise BadInput("simulate needs pyimzML: pip install 'hpc_connector[imzml]'")


def get_truth_path(out: Path) -> Path:
    """Return where the truth of a dataset is."""
    return out.with_suffix(".truth.tsv")


def get_profile(options: SimulateOptions) -> Profile:
    """Return how well the instrument measures, its resolving power as is asked."""
    profile = PROFILES[options.instrument]
    if options.resolving_power is None:
        return profile
    power, mz = options.resolving_power
    at_200 = power * (mz / 200) ** EXPONENTS[options.instrument]
    return profile._replace(resolving_power=at_200)


def read_adducts(options: SimulateOptions) -> tuple[str, ...]:
    """Return the adducts of the ions, each once.

    Raises
    ------
    BadInput
        One that cannot be read, or makes ions of the other polarity; none.
    """
    given = ADDUCTS[options.polarity] if options.adducts is None else options.adducts
    try:
        adducts = drop_repeated(read_adduct(text) for text in given)
    except ValueError as error:
        raise BadInput(f"--adducts: {error}") from None
    if not adducts:
        raise BadInput("--adducts: expected one or more, such as +H,+Na")
    check_charges(adducts, Choice(options.polarity, "--polarity"), str(options.out))
    return tuple(adduct.text for adduct in adducts)


def _count(spectra: Iterable[Spectrum], n_pixels: np.ndarray) -> Iterator[Point]:
    """Yield spectra to write, and count the pixels of each ion."""
    for x, y, mz, intensity, ions in spectra:
        n_pixels[ions] += 1
        yield Point(x, y, mz, intensity)


def make_number(options: SimulateOptions, formulas: list[str]) -> uuid.UUID:
    """Return the UUID of a dataset, by all that decides its content."""
    decides = (options.get_design(), options.polarity, options.adducts)
    measured = (options.instrument, options.resolving_power)
    return uuid.uuid5(SPACE, repr((*decides, *measured, formulas)))


def save_truth(
    path: Path, targets: Targets, planted: Planted, n_pixels: np.ndarray
) -> None:
    """Write a table of all ions: those of the database, then the unknown ones."""
    with publish(path) as stream:
        stream.write("\t".join(COLUMNS).encode() + b"\n")
        for row in list_truth(targets, planted, n_pixels):
            stream.write("\t".join(row).encode() + b"\n")


def list_truth(
    targets: Targets, planted: Planted, n_pixels: np.ndarray
) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the truth; formulas of one ion have what is said of it."""
    position = {row: k for k, row in enumerate(planted.row.tolist()) if row >= 0}
    for formula, ions in zip(targets.formulas, targets.ion.tolist(), strict=True):
        for adduct, ion in zip(targets.adducts, ions, strict=True):
            if ion >= 0:
                name, mz = targets.ions.get_name(ion), f"{targets.mz[ion, 0]:.6f}"
                where = _say_where(planted, n_pixels, position.get(ion))
                is_planted = str(int(ion in position))
                yield (formula, adduct, name, mz, is_planted, "1", *where)
    for k, name in enumerate(planted.names):
        if planted.row[k] < 0:
            mz = f"{planted.mz[k, 0]:.6f}"
            yield ("", "", name, mz, "1", "0", *_say_where(planted, n_pixels, k))


def _say_where(
    planted: Planted, n_pixels: np.ndarray, k: int | None
) -> tuple[str, str, str]:
    """Return amplitude, pixels and discs of an ion; 0 and nothing for none."""
    if k is None:
        return "0", "0", ""
    discs = "; ".join(map(_format_disc, planted.discs[k]))
    return f"{planted.amplitude[k]:.3f}", str(n_pixels[k]), discs


def _format_disc(disc: Disc) -> str:
    return f"x={disc.x:.2f} y={disc.y:.2f} r={disc.radius:.2f} level={disc.level:.2f}"


def say_command(options: SimulateOptions, profile: Profile) -> str:
    """Return the command that annotates the dataset as it was made."""
    words = ["metabolite-annotation", "run", str(options.out)]
    words += ["--database", options.database, "--instrument", options.instrument]
    words += ["--resolving-power", f"{profile.resolving_power:g}@200"]
    words += ["--ppm", f"{profile.ppm:g}"]
    if options.adducts:
        words += ["--adducts", ",".join(options.adducts)]
    return shlex.join([*words, "--out", str(options.out.with_suffix("").name)])
