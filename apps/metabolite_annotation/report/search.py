"""What was searched, in words, each with what was assumed of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hpc_connector.notes import Assumption
from hpc_connector.report.text import say_count
from metabolite_annotation.report.run_file import AnnotationRun

NONE = "none"
FORMS = {
    "centroid": "peaks were picked from profiles",
    "as-is": "profiles, searched point by point",
}


class Said(NamedTuple):
    """A fact of a search.

    Parameters
    ----------
    name, text
        What it is of, and what it is.
    caution
        Why it may be wrong; empty for what was given.
    """

    name: str
    text: str
    caution: str = ""


def list_search(run: AnnotationRun) -> list[Said]:
    """Return what was searched, without what older runs do not say."""
    given, search = run.get_part("parameters"), run.get_part("search")
    said = [
        Said("Spectra", say_spectra(run, given), get_caution(run, "form of spectra")),
        Said("Pixel size", *say_pixel(run)),
        Said("Polarity", *say_choice(run, "polarity", run.polarity)),
        Said("Instrument", *say_choice(run, "instrument", "")),
        Said("Resolving power", *say_resolution(run)),
        Said("Databases", say_databases(run, search)),
        Said("Adducts", say_adducts(run)),
        Said("Neutral losses", say_list(search, given, "neutral_losses")),
        Said("Modifications", say_list(search, given, "chem_mods")),
        Said("Ions", say_ions(run, given)),
        Said("Tolerance", f"± {run.ppm:g} ppm of m/z"),
        Said("Scored by", say_score(given)),
        Said("FDR", say_fdr(run, given)),
    ]
    return [one for one in said if one.text]


def get_caution(run: AnnotationRun, what: str) -> str:
    """Return why something had to be assumed, empty where it was not."""
    for entry in list_assumed(run):
        if entry.what == what:
            otherwise = f"; {entry.option} says otherwise" if entry.option else ""
            return f"assumed, for {entry.because}{otherwise}"
    return ""


def list_assumed(run: AnnotationRun) -> list[Assumption]:
    """Return what a run assumed."""
    found = run.record.get("assumed", [])
    entries = [e for e in found if isinstance(e, Mapping)] if found else []
    names = Assumption._fields
    return [Assumption(*(str(e.get(n, "")) for n in names)) for e in entries]


def say_spectra(run: AnnotationRun, given: dict[str, Any]) -> str:
    """Return how many spectra there are, where, and of what."""
    dataset, n = run.get_part("dataset"), len(run.pixels["x"])
    said = f"{n:,} pixel{'s' * (n != 1)} in {run.width:,} × {run.height:,}"  # noqa: RUF001
    if isinstance(peaks := dataset.get("peaks"), int):
        said += f"; {peaks:,} peaks"
    if limits := get_range(dataset, "mz_range"):
        said += f", m/z {limits[0]:.1f} to {limits[1]:.1f}"
    form = FORMS.get(str(given.get("profile")))
    return f"{said}; {form}" if form else said


def get_range(part: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Return two numbers of a manifest, None where there are none."""
    found = part.get(name)
    if not isinstance(found, list | tuple) or len(found) != 2:
        return None
    numbers = [v for v in found if isinstance(v, int | float)]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def say_pixel(run: AnnotationRun) -> tuple[str, str]:
    """Return the size of a pixel, and a caution where it is not sure."""
    if run.pixel_size_um is None:
        return "not known", "scale bars count pixels; --pixel-size says it"
    x, y = run.pixel_size_um
    source = str(run.get_part("dataset").get("pixel_size_from", ""))
    by = f" (by {source})" if source else ""
    return f"{x:g} × {y:g} µm{by}", get_caution(run, "pixel size")  # noqa: RUF001


def say_choice(run: AnnotationRun, name: str, known: str) -> tuple[str, str]:
    """Return what was taken and by whom it is said, and a caution where by nobody."""
    search = run.get_part("search")
    taken, source = (str(search.get(key, "")) for key in (name, f"{name}_from"))
    by = f" (by {source})" if source not in ("", "assumed") else ""
    return f"{taken or known}{by if taken else ''}", get_caution(run, name)


def say_resolution(run: AnnotationRun) -> tuple[str, str]:
    """Return how well peaks are told apart, and a caution where that is assumed."""
    given = run.get_part("parameters")
    caution = get_caution(run, "resolving power")
    sigma = given.get("isocalc_sigma")
    if isinstance(sigma, int | float):
        return f"peaks {sigma:g} Da wide (standard deviation at m/z 200)", ""
    if power := get_range(given, "resolving_power"):
        return f"{power[0]:,.0f} at m/z {power[1]:g}", ""
    taken = [one.taken for one in list_assumed(run) if one.what == "resolving power"]
    return (taken[0] if taken else ""), caution


def say_databases(run: AnnotationRun, search: dict[str, Any]) -> str:
    """Return the databases, and what they hold where that is known."""
    held_by = search.get("databases")
    counts = held_by if isinstance(held_by, dict) else {}
    said = []
    for name in list(counts) or run.databases:
        held = counts.get(name)
        n = held.get("formulas") if isinstance(held, dict) else None
        known = f" ({say_count(n, 'formula')})" if isinstance(n, int) else ""
        said.append(f"{name}{known}")
    return ", ".join(said)


def say_adducts(run: AnnotationRun) -> str:
    """Return the adducts as ions are written."""
    given, search = run.get_part("parameters"), run.get_part("search")
    found = search.get("adducts") or given.get("adducts")
    adducts = found if isinstance(found, list) else []
    sign = {"positive": "⁺", "negative": "⁻"}.get(run.polarity, "")
    return ", ".join(
        text if "[M]" in text else f"[M{text.replace('-', '−')}]{sign}"  # noqa: RUF001
        for text in map(str, adducts)
    )


def say_list(search: dict[str, Any], given: dict[str, Any], name: str) -> str:
    """Return texts of the search, or what was asked for in older runs."""
    found = search.get(name, given.get(name))
    if not isinstance(found, list):
        return ""
    return ", ".join(str(v).replace("-", "−") for v in found) or NONE  # noqa: RUF001


def say_ions(run: AnnotationRun, given: dict[str, Any]) -> str:
    """Return how many ions were looked for, decoys among them."""
    ions, decoys = run.get_part("annotation").get("ions"), given.get("decoys")
    if not isinstance(ions, int):
        return ""
    more = f", {decoys:,} decoys for each target" if isinstance(decoys, int) else ""
    return f"{ions:,} looked for{more}"


def say_score(given: dict[str, Any]) -> str:
    """Return what ions are ranked by."""
    model = given.get("model")
    return f"METASPACE-ML ({model})" if model else "MSM"


def say_fdr(run: AnnotationRun, given: dict[str, Any]) -> str:
    """Return up to which rate annotations are reported, and by which method."""
    most = given.get("fdr")
    upto = f"up to {100 * most:g} %; " if isinstance(most, int | float) else ""
    return f"{upto}METASPACE's analysis version {run.analysis_version}"
