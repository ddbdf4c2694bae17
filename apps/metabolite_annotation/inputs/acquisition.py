"""How a dataset was acquired: by the options, by what its file says, or assumed."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.instruments import find_kinds, find_weak_kinds
from hpc_connector.learner.annotation.modifiers import Adduct, get_charge
from hpc_connector.learner.annotation.patterns import get_sigma
from hpc_connector.learner.annotation.profiles import is_like_profile
from hpc_connector.loader.spectra.acquisition import SPECTRA, Said
from hpc_connector.loader.spectra.ibd import read_spectra
from hpc_connector.loader.spectra.imzml import Imzml
from hpc_connector.notes import Assumption
from metabolite_annotation.options import Options

SIGNS = {"positive": 1, "negative": -1}
RESOLVING_POWER = (140_000.0, 200.0)  # METASPACE's, at this m/z
MOST_SHOWN = 3  # of what is said of an instrument


class Choice(NamedTuple):
    """What was taken, by whom it is said, and whether it had to be assumed."""

    value: str
    source: str
    assumed: tuple[Assumption, ...] = ()

    def __str__(self) -> str:
        """Return both in a few words, such as "positive (by its spectra)"."""
        return f"{self.value} ({'' if self.assumed else 'by '}{self.source})"


class Width(NamedTuple):
    """The standard deviation of a peak at m/z 200, in Da."""

    sigma: float
    assumed: tuple[Assumption, ...] = ()


class Profiles(NamedTuple):
    """Which spectra are to be centroided.

    Parameters
    ----------
    picked
        Of each spectrum, bool (spectra,).
    counted
        What is told of them.
    """

    picked: np.ndarray
    counted: dict[str, int]
    assumed: tuple[Assumption, ...]


def assume(what: str, taken: str, because: str, option: str) -> Choice:
    """Return a choice that nothing but the need for one speaks for."""
    return Choice(taken, "assumed", (Assumption(what, taken, because, option),))


def name(imzml: Imzml) -> str:
    """Return the name of a dataset's file."""
    return os.path.basename(imzml.path)


def join_places(said: Iterable[Said]) -> str:
    """Return the places where something is said."""
    return " and ".join(dict.fromkeys(one.where for one in said))


def choose_polarity(
    options: Options, imzml: Imzml, adducts: Sequence[Adduct]
) -> Choice:
    """Return the polarity of a search.

    Parameters
    ----------
    adducts
        Those that the user chose: where neither file nor option names a polarity, it is
        that of their ions.

    Raises
    ------
    BadInput
        The file is of the other polarity, or of both.
    """
    said = imzml.acquisition.polarities
    places = {p: join_places(one for one in said if one.what == p) for p in SIGNS}
    named = {polarity: where for polarity, where in places.items() if where}
    first = next(iter(named), "")
    if options.polarity:
        if named and options.polarity not in named:
            raise BadInput(
                f"{options.dataset} was acquired in {first} mode: expected "
                f"--polarity {first}, found {options.polarity}"
            )
        return Choice(options.polarity, "--polarity")
    if len(named) > 1:
        both = ", ".join(f"{polarity} in {where}" for polarity, where in named.items())
        raise BadInput(
            f"{options.dataset} names both polarities ({both}): expected --polarity"
        )
    return Choice(first, named[first]) if named else guess_polarity(imzml, adducts)


def guess_polarity(imzml: Imzml, adducts: Sequence[Adduct]) -> Choice:
    """Return the polarity of the ions that adducts make; without any, positive."""
    charges = {get_charge(adduct) for adduct in adducts}
    unread = imzml.acquisition.unread
    because = f"{name(imzml)} names none" + (
        f" that is known ({unread})" if unread else ""
    )
    for polarity, charge in SIGNS.items():
        if charges == {charge}:
            because += ", and the adducts are of such ions"
            return assume("polarity", polarity, because, "--polarity")
    return assume("polarity", "positive", because, "--polarity")


def choose_instrument(options: Options, imzml: Imzml) -> Choice:
    """Return the kind of instrument, by the option or what the file names.

    Raises
    ------
    BadInput
        The file names instruments of several kinds.
    """
    if options.instrument != "auto":
        return Choice(options.instrument, "--instrument")
    if named := find_instrument(options, imzml):
        return named
    *tiers, _ = imzml.acquisition.instruments
    everything = [said for tier in tiers for said in tier]
    for said in everything:
        for kind in find_weak_kinds(said.what):
            because = f"{name(imzml)} names no more than {said.what}"
            return assume("instrument", kind, because, "--instrument")
    shown = ", ".join(said.what for said in everything[:MOST_SHOWN])
    known = f"none that is known ({shown})" if shown else "none"
    because = f"{name(imzml)} names {known}"
    return assume("instrument", "Orbitrap", because, "--instrument")


def find_instrument(options: Options, imzml: Imzml) -> Choice | None:
    """Return the kind that the file names in the first place that names any."""
    for tier in imzml.acquisition.instruments:
        kinds = {kind: said for said in tier for kind in sorted(find_kinds(said.what))}
        if len(kinds) > 1:
            both = ", ".join(f"{kind} ({said.what})" for kind, said in kinds.items())
            raise BadInput(
                f"{options.dataset} names several kinds of instrument: {both}: "
                "expected --instrument"
            )
        for kind, said in kinds.items():
            return Choice(kind, f"{said.what} in {said.where}")
    return None


def choose_sigma(options: Options, instrument: str) -> Width:
    """Return how wide a peak is, by the options or as METASPACE takes it."""
    if options.isocalc_sigma:
        return Width(options.isocalc_sigma)
    if options.resolving_power:
        return Width(get_sigma(instrument, *options.resolving_power))
    power, mz = RESOLVING_POWER
    taken = f"{power:,.0f} at m/z {mz:g}"
    assumed = assume("resolving power", taken, "none is given", "--resolving-power")
    return Width(get_sigma(instrument, power, mz), assumed.assumed)


def choose_profiles(options: Options, imzml: Imzml) -> Profiles:
    """Return which spectra to centroid: none, the profiles, or all.

    Raises
    ------
    BadInput
        The file declares profiles, and no option says what to do with them.
    """
    is_profile, where = imzml.is_profile, imzml.acquisition.form
    n = int(is_profile.sum())
    if n and options.profile is None:
        some = "" if n == len(is_profile) else f"{n} of {len(is_profile)} "
        raise BadInput(
            f"{options.dataset} declares {some}profile spectra (in {where}): expected "
            "centroids, or --profile centroid to pick their peaks, or --profile as-is "
            "to search point by point"
        )
    if options.profile == "centroid":
        is_mixed = where == SPECTRA and n > 0
        picked = is_profile if is_mixed else np.ones_like(is_profile)
        phrase = "profile spectra were centroided (--profile centroid)"
        doubts = () if n else doubt_profiles(imzml)
        return Profiles(picked, {phrase: int(picked.sum())}, doubts)
    phrase = "profile spectra were searched point by point (--profile as-is)"
    doubts = () if options.profile else doubt_centroids(imzml)
    return Profiles(np.zeros_like(is_profile), {phrase: n}, doubts)


def doubt_centroids(imzml: Imzml) -> tuple[Assumption, ...]:
    """Return that spectra are taken for centroids, if the largest does not look so."""
    if not is_largest_like_profile(imzml):
        return ()
    because = (
        f"{name(imzml)} does not declare profiles, though its points lie in even steps"
    )
    return assume("form of spectra", "centroids", because, "--profile").assumed


def doubt_profiles(imzml: Imzml) -> tuple[Assumption, ...]:
    """Return that spectra are taken for profiles, if the largest does not look so."""
    if is_largest_like_profile(imzml):
        return ()
    because = (
        f"--profile centroid is given, though {name(imzml)} declares no profiles and "
        "its points lie in no even steps"
    )
    return (Assumption("form of spectra", "profiles", because),)


def is_largest_like_profile(imzml: Imzml) -> bool:
    """Return whether the spectrum with the most points is like a profile."""
    largest = int(imzml.n_peaks.argmax())
    return is_like_profile(read_spectra(imzml, largest, largest + 1).mz)
