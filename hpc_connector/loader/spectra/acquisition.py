"""How an imzML dataset was acquired: polarity, instrument, profile or centroids.

Exporters say so at many places: in each spectrum or its scan, in groups of parameters,
in ``fileContent``, the ion source, the scan settings, Thermo's filter string, or in
parameters of their own. All of them are asked; that they agree is for the user of this
module to see.
"""

import contextlib
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra import _imzml_kernels as kernels
from hpc_connector.loader.spectra.header import GROUP, PARAMS
from hpc_connector.loader.spectra.scan import Scan

SPECTRA = "its spectra"
FILTER_STRING = "the filter string of its scans"
UNUSED = "a group of parameters that nothing refers to"
POLARITIES = {"MS:1000130": "positive", "MS:1000129": "negative"}
FORMS = {"MS:1000128": "profile", "MS:1000127": "centroid"}
FILTER, FILTER_NAMES = "MS:1000512", {"filterstring", "filterline", "scanfilter"}
MODEL = "MS:1000031"  # instrument model
OF_KIND = ("instrumentConfiguration", "analyzer")
PEAK_PICKING = "MS:1000035"
NO = ("false", "no", "0", "off")
MINUSES = str.maketrans(dict.fromkeys("\u2212\u2013\u2010\u2011\ufe63\uff0d", "-"))
SIGN_OF_FILTER = re.compile(r"(?:^|\s|MS)([+-])(?=\s|[pc]\b)|([+-])$")
OF_POLARITY = re.compile(r"polari|\bion(i[sz]ation)?[ _-]?mode|\bms[ _-]?mode", re.I)
OF_MODE = re.compile(r"mode\b|\bscan|charge|ioni[sz]ation", re.I)  # of other things too
NAMED = re.compile(
    r"(positive|negative)([ _-]ion)?([ _-](scan|mode|polarity|ions?))?", re.I
)
POSITIVE = re.compile(r"\bpos|^p$|^[(\[]?\+|\+[)\]]?$|^plus$", re.I)
NEGATIVE = re.compile(r"\bneg|^n$|^[(\[]?-|-[)\]]?$|^minus$", re.I)
TITLED = re.compile(r"([^:=]+)[:=]\s*(.+)")  # a value in the name
OF_FORM = re.compile(
    r"spectrum[ _-]?(representation|type)|(data|peak|acquisition|scan|^)[ _-]?mode"
    r"|data[ _-]?type|^data$",
    re.I,
)
FORM = re.compile(
    r"(is)?(?P<form>profile|continuum|centroid)(e?d)?"
    r"([ _-]?(spectrum|spectra|mode|data))?"
)
OF_INSTRUMENT = re.compile(r"instrument|analy[sz]er|spectrometer|\bmodel\b", re.I)
WORDS = [b"olarity", b"egative", b"ositive", b"ilter", b"on mode", b"onMode"]

Bytes = mmap.mmap | bytes


class Said(NamedTuple):
    """What is said, and at which place."""

    what: str
    where: str


@dataclass(frozen=True)
class Acquisition:
    """What a file says of how it was acquired.

    ``polarities`` are "positive" and "negative"; ``unread`` is what is named for it,
    but is not understood. ``instruments`` are accession and text of parameters, those
    that tell most in the first tuple. ``form`` says where profiles are declared, and is
    empty where none are.
    """

    polarities: tuple[Said, ...]
    instruments: tuple[tuple[Said, ...], ...]
    form: str
    unread: str = ""

    @property
    def polarity(self) -> str:
        """Return the polarity if all places agree on one."""
        found = {said.what for said in self.polarities}
        return found.pop() if len(found) == 1 else ""


def read_acquisition(path: str, scan: Scan) -> tuple[Acquisition, NDArray[np.bool_]]:
    """Return the acquisition that a file records, and which spectra are profiles.

    Raises
    ------
    BadInput
        Spectra of both polarities.
    """
    said = list_said(scan.root)
    counts = scan.common[0, [kernels.POSITIVE, kernels.NEGATIVE]].tolist()
    is_profile, form = find_profile(said, scan.columns[:, kernels.FORM])
    polarities = list_polarities(path, said, counts, scan.text)
    instruments = list_instruments(scan.root, said)
    unread = (f"{p.get('name')} {p.get('value', '')}" for _, p in said if is_unread(p))
    found = Acquisition(polarities, instruments, form, next(unread, ""))
    return found, is_profile


def list_said(root: Element) -> list[tuple[str, Element]]:
    """Return the parameters of the elements, each with the place where it stands."""
    inside = {
        id(element): name
        for tag, name in (("spectrum", SPECTRA), (GROUP, UNUSED))
        for top in root.iter(tag)
        for element in top.iter()
    }
    return [
        (inside.get(id(element), element.tag), param)
        for element in root.iter()
        for param in element
        if param.tag in PARAMS
    ]


def list_polarities(
    path: str,
    said: Sequence[tuple[str, Element]],
    counts: Sequence[int],
    data: Bytes,
) -> tuple[Said, ...]:
    """Return the polarity by each place; groups count where no other says it.

    Parameters
    ----------
    counts
        Parameters of spectra that say positive, and negative.
    """
    found = [
        Said(polarity, FILTER_STRING if is_filter(param) else place)
        for place, param in said
        for polarity in get_polarities(param)
    ]
    n = dict(zip(POLARITIES.values(), counts, strict=True))
    of_spectra = {name for name in n if n[name]}
    is_said = any(one.where in (SPECTRA, FILTER_STRING) for one in found)
    if not of_spectra and (is_said or not found):
        of_spectra = find_in_spectra(data)  # by names, which others may differ in
    if not is_said or any(n.values()):
        found += [Said(name, SPECTRA) for name in sorted(of_spectra)]
    if len(of_spectra) > 1:
        both = " and ".join(f"{n[name]} {name}" if n[name] else name for name in n)
        raise BadInput(f"{path} has {both} scans: expected one polarity")
    unique = list(dict.fromkeys(found))
    used = [one for one in unique if one.where != UNUSED]
    return tuple(used or unique)


def is_filter(param: Element) -> bool:
    """Return whether a parameter is the filter string of a Thermo scan."""
    name = re.sub(r"[\s_-]", "", param.get("name", "").lower())
    return param.get("accession", "").strip() == FILTER or name in FILTER_NAMES


def is_unread(param: Element) -> bool:
    """Return whether a parameter is named for polarity, but none is found in it."""
    name, value = param.get("name", ""), param.get("value", "")
    return bool("polarity" in name.lower() and value and not [*get_polarities(param)])


def get_polarities(param: Element) -> Iterator[str]:
    """Yield what a parameter says of polarity: nothing, or one, or both."""
    name, value = (param.get(key, "").strip() for key in ("name", "value"))
    value = value.translate(MINUSES)
    if not value and (titled := TITLED.fullmatch(name)):
        name, value = titled.groups()
    if (accession := param.get("accession", "").strip()) in POLARITIES:
        yield POLARITIES[accession]
    if is_filter(param):
        if sign := SIGN_OF_FILTER.search(value.partition("[")[0].strip()):
            yield "positive" if "+" in sign[0] else "negative"
    elif named := NAMED.fullmatch(name):
        if value.lower() not in NO:
            yield named[1].lower()
    elif OF_POLARITY.search(name):
        if POSITIVE.search(value):
            yield "positive"
        if NEGATIVE.search(value):
            yield "negative"
    elif OF_MODE.search(name) and (named := NAMED.fullmatch(value)):
        yield named[1].lower()


def find_in_spectra(data: Bytes) -> set[str]:
    """Return the polarity that all spectra record other than by accessions."""
    first = data.find(b"<spectrum ")
    return {
        polarity
        for tag in find_tags(data, first)
        for polarity in get_polarities(read_tag(tag))
    }


def find_tags(data: Bytes, first: int) -> set[bytes]:
    """Return the tags with one of ``WORDS`` from a place on; none before all."""
    found = set()
    for word in {*WORDS, *map(bytes.upper, WORDS)} if first >= 0 else ():
        for match in re.compile(word).finditer(data, first):
            begin = data.rfind(b"<", first, match.start())
            found.add(data[begin : data.find(b">", match.end()) + 1])
    return found


def read_tag(tag: bytes) -> Element:
    """Return the element that a tag begins, without meaning where it is none."""
    with contextlib.suppress(ParseError):
        return fromstring(tag.rstrip(b"/>") + b"/>")
    return Element("cvParam")


def find_profile(
    said: Sequence[tuple[str, Element]], forms: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], str]:
    """Return which spectra are declared as profiles, and where that is said.

    What spectra say goes before what is said elsewhere; but where they all say
    centroid, elsewhere profile is said, and no peaks were picked, either may be right.

    Parameters
    ----------
    forms
        What each spectrum says: an accession, NaN where it says nothing.
    """
    places: dict[str, set[str]] = {"profile": set(), "centroid": set()}
    for place, param in said:
        if place != UNUSED and (form := get_form(param)):
            places[form].add(place)
    is_profile = forms == kernels.PROFILE
    if is_profile.any():
        return is_profile, SPECTRA
    of_spectra = "centroid" if (forms == kernels.CENTROID).all() else ""
    where = " and ".join(sorted(places["profile"]))
    if of_spectra:
        where = " and ".join(sorted(places["profile"] - places["centroid"]))
    is_picked = any(param.get("accession") == PEAK_PICKING for _, param in said)
    if not where or (of_spectra and is_picked):
        return is_profile, ""
    where += f", while its spectra say {of_spectra}" if of_spectra else ""
    return np.ones(len(forms), bool), where


def get_form(param: Element) -> str:
    """Return whether a parameter says "profile" or "centroid", or neither.

    Profile, where accession and name differ: to take that for centroids would not do.
    """
    name, value = (param.get(key, "").strip().lower() for key in ("name", "value"))
    by_accession = FORMS.get(param.get("accession", "").strip(), "")
    is_value = OF_FORM.search(name) is not None
    named = FORM.fullmatch(value if is_value else name)
    if named is None:
        return by_accession
    by_name = "centroid" if named["form"] == "centroid" else "profile"
    if not is_value and value in NO:
        by_name = "profile" if by_name == "centroid" else ""
    return "profile" if "profile" in (by_accession, by_name) else by_name


def list_instruments(
    root: Element, said: Sequence[tuple[str, Element]]
) -> tuple[tuple[Said, ...], ...]:
    """Return the names of the instrument, those of who should know best first.

    First the parameters of the configuration that spectra refer to, or else of all,
    and of its analyzers; then users' parameters there, and those elsewhere that are
    named for an instrument; at last values of other parameters there, and its id.
    """
    configurations = list(root.iter("instrumentConfiguration"))
    scans = [scan.get("instrumentConfigurationRef") for scan in root.iter("scan")]
    runs = [run.get("defaultInstrumentConfigurationRef") for run in root.iter("run")]
    for name in (*scans, *runs):
        if used := [one for one in configurations if one.get("id") == name]:
            configurations = used
            break
    inside = {id(e) for one in configurations for e in one.iter()}
    tiers: tuple[list[Said], ...] = ([], [], [], [])
    for place, param in said:
        words = (param.get(key, "").strip() for key in ("accession", "name", "value"))
        text = Said(" ".join(filter(None, words)), place)
        is_named = OF_INSTRUMENT.search(param.get("name", "")) is not None
        is_model = param.get("accession", "").strip() == MODEL
        is_own = param.tag == "userParam"
        if place == UNUSED:
            continue
        if id(param) in inside and is_own and param.get("value") and not is_named:
            tiers[3].append(Said(param.get("value", ""), place))
        elif id(param) in inside and (is_own or place in OF_KIND):
            tiers[is_own].append(text)
        elif (is_named or is_model) and place not in OF_KIND:
            tiers[2].append(text)
    ids = (element.get("id", "") for element in configurations)
    tiers[3].extend(Said(name, "the id of its configuration") for name in ids)
    return tuple(tuple(dict.fromkeys(tier)) for tier in tiers)
