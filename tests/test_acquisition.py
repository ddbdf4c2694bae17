"""Polarity, instrument, profiles, adducts: what files say, and what runs assume."""

import csv
import gzip
import json
import re
import shutil

import numpy as np
import pytest

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.instruments import find_kinds
from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.patterns import Resolution, calculate_centroids
from hpc_connector.loader.spectra.imzml import read_imzml
from imzml import make_param, write_imzml
from metabolite_annotation.inputs.acquisition import choose_instrument
from metabolite_annotation.program import main, make_parser

POSITIVE = make_param("MS:1000130", "positive scan")
NEGATIVE = make_param("MS:1000129", "negative scan")
PROFILE = make_param("MS:1000128", "profile spectrum")
CENTROID = make_param("MS:1000127", "centroid spectrum")
PICKING = make_param("MS:1000035", "peak picking")
SPECTRA = [(1, 1, [100.0, 200.0], [1.0, 2.0]), (2, 1, [100.0, 200.0], [1.0, 3.0])]
PLANTED = ("C20H30O5", "C24H40O4", "C16H32O2", "C34H66NO8P")
OTHERS = ("C18H36O2", "C27H46O", "C6H12O6", "C10H16N2O3", "C40H80NO8P", "C12H22O11")
OTHERS += ("C9H11NO2", "C22H32O2", "C30H50O", "C19H28O2", "C37H70O5", "C21H30O5")


def say(param, place):
    """Return a change of a file: a parameter at the end of all elements of a name."""
    if place == "analyzer":
        return lambda text: text.replace(
            "</instrumentConfiguration>",
            '<componentList count="2"><source order="1"/><analyzer order="2">'
            f"{param}</analyzer></componentList></instrumentConfiguration>",
        )
    if place == "scanSettings":
        return lambda text: text.replace(
            '<scanSettings id="s"/>', f'<scanSettings id="s">{param}</scanSettings>'
        )
    if place == "run":
        return lambda text: text.replace('<run id="r">', f'<run id="r">{param}')
    return lambda text: text.replace(f"</{place}>", f"{param}</{place}>")


def in_group(param, place, name="own"):
    """Return a change of a file: a parameter in a group that all elements refer to."""
    group = f'<referenceableParamGroup id="{name}">{param}</referenceableParamGroup>'
    add = say(f'<referenceableParamGroupRef ref="{name}"/>', place)
    end = "</referenceableParamGroupList>"
    return lambda text: add(text.replace(end, group + end))


def user(name, value=""):
    return f'<userParam name="{name}" value="{value}"/>'


def filter_string(text):
    return make_param("MS:1000512", "filter string", text)


def write(folder, *changes, spectra=SPECTRA, **options):
    """Write a dataset that says nothing but what the changes add; return its path."""
    path = folder / "x.imzML"
    options = {"polarity": "", "analyzer": "", "checksum": None} | options
    write_imzml(path, spectra, **options)
    text = path.read_text().replace(make_param("MS:1000031"), "")
    for change in changes:
        text = change(text)
    path.write_text(text)
    return path


def read_said(folder, *changes):
    return read_imzml(str(write(folder, *changes))).acquisition


def say_second(param):
    """Return a change of a file: a parameter in the second scan alone."""
    return lambda text: f"{param}</scan>".join(text.rsplit("</scan>", 1))


PLACES = ("spectrum", "scan", "fileContent", "scanSettings", "source", "analyzer")
SAID_NEGATIVE = {
    **{place: say(NEGATIVE, place) for place in PLACES if place != "source"},
    "source": lambda text: text.replace(
        "</instrumentConfiguration>",
        f'<componentList count="1"><source order="1">{NEGATIVE}</source>'
        "</componentList></instrumentConfiguration>",
    ),
    **{f"group, {place}": in_group(NEGATIVE, place) for place in ("scan", "spectrum")},
    "group, content": in_group(NEGATIVE, "fileContent"),
    "group, instrument": in_group(NEGATIVE, "instrumentConfiguration"),
    "a group alone": say(
        f'<referenceableParamGroup id="a">{NEGATIVE}</referenceableParamGroup>',
        "referenceableParamGroupList",
    ),
    "name without accession": say('<cvParam name="Negative Scan"/>', "scan"),
    "name in content": say('<cvParam name="negative scan"/>', "fileContent"),
    "scan polarity": say(
        make_param("MS:1000465", "scan polarity", "negative scan"), "scan"
    ),
    "user's polarity": say(user("polarity", "Negative"), "run"),
    "user's sign": say(user("Polarity", "-"), "fileContent"),
    "user's ion mode": say(user("ion mode", "ESI-"), "scanSettings"),
    "user's ionisation mode": say(user("Ionisation mode", "neg"), "spectrum"),
    "negative mode": say(user("negative ion mode"), "instrumentConfiguration"),
    "filter": say(filter_string("FTMS - p NSI Full ms [100.00-900.00]"), "scan"),
    "filter, counts": say(
        filter_string("FTMS {1,1}  - p ESI Full ms [70-900]"), "scan"
    ),
    "filter, trap": say(filter_string("ITMS - c MALDI Full ms [5-9]"), "spectrum"),
    "filter, group": in_group(filter_string("FTMS - p ESI Full ms [70-900]"), "scan"),
    "filter, name": say(user("filter string", "FTMS - p MALDI Full ms"), "scan"),
    "user's mode": say(user("Scan mode", "negative ion"), "fileContent"),
    "user's value in the name": say(user("Polarity: negative"), "fileContent"),
    "user's sign in brackets": say(user("polarity", "(-)"), "run"),
    "user's number": say(user("polarity", "-1"), "run"),
    "user's word": say(user("ion polarity", "minus"), "scan"),
    "filter, no spaces": say(filter_string("FTMS -p NSI Full ms"), "scan"),
    "filter, another minus": say(filter_string("FTMS \N{MINUS SIGN} p ESI"), "scan"),
    "filter, Waters": say(user("Scan Filter", "TOF MS ES-"), "scan"),
    "filter, one word": say(user("scanFilter", "FTMS - c MALDI Full ms"), "scan"),
    "second spectrum": say_second('<cvParam name="negative scan"/>'),
    "second spectrum, user's": say_second(user("Polarity", "NEGATIVE")),
    "second spectrum, filter": say_second(filter_string("ITMS - c ESI Full ms")),
    "filter, entity": say(filter_string("FTMS &#45; p MALDI Full ms"), "scan"),
}


@pytest.mark.parametrize("place", SAID_NEGATIVE)
def test_read_acquisition__polarity_at_each_place(tmp_path, place):
    said = read_said(tmp_path, SAID_NEGATIVE[place])
    assert said.polarity == "negative"


@pytest.mark.parametrize("text", ["FTMS + p ESI Full ms [1-2]", "ITMS {0;0} + c ms"])
def test_read_acquisition__positive_by_the_filter_string(tmp_path, text):
    said = read_said(tmp_path, say(filter_string(text), "scan"))
    assert said.polarity == "positive"


@pytest.mark.parametrize(
    "change",
    [
        say(filter_string("FTMS p NSI Full ms [100.00-900.00]"), "scan"),
        say(user("polarity", "unknown"), "scan"),
        say(user("positive mode", "false"), "run"),
        say(make_param("MS:1000036", "scan mode", "1"), "scan"),
        lambda text: text,
    ],
)
def test_read_acquisition__no_polarity(tmp_path, change):
    assert read_said(tmp_path, change).polarities == ()


def test_read_acquisition__polarity_of_a_prefixed_second_spectrum(tmp_path):
    def prefix(text):
        text = re.sub(r"<(/?)(\w)", r"<\1mz:\2", text)
        return text.replace("xmlns=", "xmlns:mz=")

    change = say_second(filter_string("FTMS - p ESI Full ms"))
    assert read_said(tmp_path, change, prefix).polarity == "negative"


@pytest.mark.parametrize("value", ["1", "switched"])
def test_choose_polarity__names_what_is_not_understood(tmp_path, value, caplog):
    path = write(tmp_path, say(user("Polarity", value), "run"))
    assert run(path, "C16H32O2") == 0
    assert f"names none that is known (Polarity {value})" in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        [say(POSITIVE, "fileContent"), say(NEGATIVE, "scan")],
        [say(POSITIVE, "scan"), say(filter_string("FTMS - p ESI Full ms"), "scan")],
        [say(make_param("MS:1000130", "negative scan"), "scan")],
        [say(user("polarity", "positive/negative"), "run")],
    ],
)
def test_run__places_that_contradict_each_other(tmp_path, capsys, changes):
    path = write(tmp_path, *changes)
    assert run(path, "C16H32O2") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "names both polarities" in line
    assert "--polarity" in line
    assert run(path, "C16H32O2", "--polarity", "negative") == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (POSITIVE, NEGATIVE),
        (filter_string("FTMS + p ESI Full ms"), filter_string("FTMS - p ESI Full ms")),
        ('<cvParam name="positive scan"/>', '<cvParam name="negative scan"/>'),
        (user("polarity", "+"), user("polarity", "-")),
    ],
)
def test_read_imzml__spectra_of_both_polarities(tmp_path, first, second):
    def alternate(text):
        params = iter([first, second])
        return re.sub("</scan>", lambda _: next(params) + "</scan>", text)

    with pytest.raises(BadInput, match=r"positive and .*negative scans"):
        read_said(tmp_path, alternate)


MODELS = {
    "solariX": "FTICR",
    "solarix XR 7T": "FTICR",
    "scimaX MRMS": "FTICR",
    "LTQ FT": "FTICR",
    "LTQ-FT Ultra": "FTICR",
    "apex-ultra": "FTICR",
    "APEX-Qe": "FTICR",
    "Bruker 9.4 T": "FTICR",
    "12T FT-ICR": "FTICR",
    "Fourier transform ion cyclotron resonance": "FTICR",
    "Q Exactive HF-X": "Orbitrap",
    "QExactive": "Orbitrap",
    "Orbitrap Exploris 240": "Orbitrap",
    "LTQ Orbitrap Velos": "Orbitrap",
    "MALDI LTQ Orbitrap XL": "Orbitrap",
    "Orbitrap Fusion Lumos": "Orbitrap",
    "Orbitrap ID-X": "Orbitrap",
    "Orbitrap Tribrid Apex": "Orbitrap",
    "rapifleX": "TOF",
    "ultrafleXtreme": "TOF",
    "autoflex speed": "TOF",
    "timsTOF fleX MALDI-2": "TOF",
    "Synapt G2-Si": "TOF",
    "Xevo G2-XS QTof": "TOF",
    "SELECT SERIES MRT": "TOF",
    "QSTAR Elite": "TOF",
    "MALDI-TOF": "TOF",
    "q-TOF": "TOF",
    "time-of-flight": "TOF",
    "Time of flight": "TOF",
    "TOF.SIMS 5": "TOF",
    "Fourier transform / FT ICR": "FTICR",
    "Solari X": "FTICR",
    "BioApex II": "FTICR",
    "OrbiSIMS": "Orbitrap",
    "Agilent 6545": "TOF",
    "JMS-S3000": "TOF",
    "LCMS-9030": "TOF",
    "X500R": "TOF",
    "Voyager DE-STR": "TOF",
    "reflectron": "TOF",
    "LTQ XL": None,
    "Xevo TQ-S": None,
    "quadrupole": None,
    "": None,
}


@pytest.mark.parametrize("model", MODELS)
def test_find_kinds__by_name(model):
    assert find_kinds(model) == ({MODELS[model]} if MODELS[model] else set())


@pytest.mark.parametrize(
    ("accession", "kind"),
    [
        ("MS:1000079", "FTICR"),
        ("MS:1001549", "FTICR"),
        ("MS:1000448", "FTICR"),
        ("MS:1000484", "Orbitrap"),
        ("MS:1000449", "Orbitrap"),
        ("MS:1002523", "Orbitrap"),
        ("MS:1000084", "TOF"),
        ("MS:1001542", None),
        ("MS:1000291", None),
    ],
)
def test_find_kinds__by_accession(accession, kind):
    assert find_kinds(accession) == ({kind} if kind else set())


TWO_CONFIGURATIONS = (
    '<instrumentConfiguration id="IC2">'
    f"{make_param('MS:1000484', 'orbitrap')}</instrumentConfiguration>"
)
OF_INSTRUMENT = {
    "model": (say(make_param("MS:1001549"), "instrumentConfiguration"), "FTICR"),
    "value": (
        say(make_param("MS:1000031", "instrument model", "solariX"), "fileContent"),
        "FTICR",
    ),
    "group": (in_group(make_param("MS:1000079"), "instrumentConfiguration"), "FTICR"),
    "analyzer": (say(make_param("MS:1000084", "time-of-flight"), "analyzer"), "TOF"),
    "group of the analyzer": (in_group(make_param("MS:1000084"), "analyzer"), "TOF"),
    "no accession": (say('<cvParam name="timsTOF fleX"/>', "analyzer"), "TOF"),
    "user's": (say(user("instrument model", "rapifleX"), "run"), "TOF"),
    "user's name": (say(user("solariX 12T"), "instrumentConfiguration"), "FTICR"),
    "user's value": (say(user("type", "FT ICR"), "analyzer"), "FTICR"),
    "user's other value": (
        say(user("Bruker", "solariX"), "instrumentConfiguration"),
        "FTICR",
    ),
    "id": (
        lambda text: re.sub(
            r'(<instrumentConfiguration id=")[^"]*', r"\1LTQFTUltra0", text
        ),
        "FTICR",
    ),
    "settings": (say(user("Instrument", "Synapt G2"), "scanSettings"), "TOF"),
}


@pytest.mark.parametrize("place", OF_INSTRUMENT)
def test_choose_instrument__at_each_place(tmp_path, place):
    change, kind = OF_INSTRUMENT[place]
    choice = choose(write(tmp_path, change))
    assert (choice.value, choice.assumed) == (kind, ())


def choose(path, *options):
    given = ["run", str(path), "--database", "db.tsv", "--out", "out", *options]
    args = make_parser()[0].parse_args(given)
    return choose_instrument(args, read_imzml(str(path)))


def test_choose_instrument__of_the_configuration_that_spectra_use(tmp_path):
    changes = [
        say(make_param("MS:1000448", "LTQ FT"), "instrumentConfiguration"),
        say(TWO_CONFIGURATIONS, "instrumentConfigurationList"),
    ]
    path = write(tmp_path, *changes)
    with pytest.raises(BadInput, match=r"several kinds of instrument.*--instrument"):
        choose(path)
    assert choose(path, "--instrument", "TOF").value == "TOF"
    text = path.read_text()
    path.write_text(text.replace("<scan>", '<scan instrumentConfigurationRef="IC2">'))
    assert choose(path).value == "Orbitrap"


@pytest.mark.parametrize(
    ("change", "kind", "because"),
    [
        (lambda text: text, "Orbitrap", "x.imzML names none"),
        (
            say(make_param("MS:1000291", "linear ion trap"), "analyzer"),
            "Orbitrap",
            "trap",
        ),
        (
            say(user("analyzer", "FTMS"), "analyzer"),
            "FTICR",
            "no more than analyzer FTMS",
        ),
        (say(user("Time of Flight", "0.7 ms"), "analyzer"), "Orbitrap", "names none"),
    ],
)
def test_choose_instrument__assumes_with_a_reason(tmp_path, change, kind, because):
    choice = choose(write(tmp_path, change))
    ((_, taken, reason, option),) = choice.assumed
    assert (choice.value, taken, option) == (kind, kind, "--instrument")
    assert because in reason


@pytest.mark.parametrize(
    ("changes", "expected", "where"),
    [
        ([say(PROFILE, "spectrum")], [True, True], "its spectra"),
        ([in_group(PROFILE, "spectrum")], [True, True], "its spectra"),
        ([say(PROFILE, "scan"), say(CENTROID, "scan")], [True, True], "its spectra"),
        ([say(PROFILE, "fileContent")], [True, True], "fileContent"),
        ([say('<cvParam name="profile spectrum"/>', "scan")], [True, True], "its"),
        (
            [say(user("spectrum representation", "Profile"), "run")],
            [True, True],
            "run",
        ),
        ([say(user("data type", "continuum"), "scan")], [True, True], "its"),
        ([say(user("Mode", "Profile"), "scan")], [True, True], "its"),
        ([say(user("profile mode", "true"), "run")], [True, True], "run"),
        ([say(user("profile", "false"), "run")], [False, False], ""),
        ([say(user("centroided", "false"), "run")], [True, True], "run"),
        ([say(user("centroided", "1"), "run")], [False, False], ""),
        (
            [in_group(make_param("MS:1000127", "profile spectrum"), "spectrum")],
            [True, True],
            "its spectra",
        ),
        (
            [say(PROFILE, "fileContent"), say(CENTROID, "spectrum")],
            [True, True],
            "fileContent, while its spectra say centroid",
        ),
        (
            [
                say(PROFILE, "fileContent"),
                say(CENTROID, "spectrum"),
                say(PICKING, "run"),
            ],
            [False, False],
            "",
        ),
        (
            [say(PROFILE + CENTROID, "fileContent"), say(CENTROID, "spectrum")],
            [False, False],
            "",
        ),
        ([say(CENTROID, "spectrum")], [False, False], ""),
        ([], [False, False], ""),
    ],
)
def test_read_acquisition__profiles(tmp_path, changes, expected, where):
    found = read_imzml(str(write(tmp_path, *changes)))
    assert found.is_profile.tolist() == expected
    assert found.acquisition.form.startswith(where)
    assert bool(found.acquisition.form) == any(expected)


def test_read_acquisition__some_spectra_are_profiles(tmp_path):
    def change(text):
        params = iter([PROFILE, CENTROID])
        return re.sub("</scan>", lambda _: next(params) + "</scan>", text)

    found = read_imzml(str(write(tmp_path, change)))
    assert found.is_profile.tolist() == [True, False]


# Whole runs


def plant(charge, *, n_points=1):
    """Return spectra of four ions, -H or +H, in smooth patterns on 8 x 6 pixels."""
    adduct = "-H" if charge < 0 else "+H"
    ions, (found,) = make_ions([list(PLANTED)], Chemistry((adduct,), n_decoys=1))
    resolution = Resolution("Orbitrap", 0.001238, charge)
    mz, heights = calculate_centroids(ions, resolution)
    mz, heights = mz[found.target[:, 0]], heights[found.target[:, 0]]
    waves = np.random.default_rng(3).uniform(0.2, 0.7, (len(PLANTED), 2))
    spectra = []
    for y in range(1, 7):
        for x in range(1, 9):
            level = 1.2 + np.sin(3 * waves @ [x, y])
            place, height = mz.ravel(), (heights * level[:, None]).ravel()
            order = np.argsort(place)
            place, height = place[order], height[order]
            if n_points > 1:
                place, height = make_profile(place, height, n_points)
            spectra.append((x, y, place, height))
    return spectra


def make_profile(place, height, n_points):
    """Return points of Gaussian peaks, in steps of 3 ppm off their tops by a third."""
    steps = np.arange(n_points) - n_points // 2 + 1 / 3
    points = place[:, None] * (1 + 3e-6 * steps)
    values = height[:, None] * np.exp(-((steps / 1.5) ** 2) / 2)
    return points.ravel(), values.ravel()


def run(path, formulas, *options):
    """Annotate with a database of some formulas; return the exit code."""
    folder = path.parent
    shutil.rmtree(folder / "out", ignore_errors=True)
    names = [formulas] if isinstance(formulas, str) else formulas
    rows = [f"{k}\tmolecule {k}\t{f}\n" for k, f in enumerate(names)]
    (folder / "db.tsv").write_text("id\tname\tformula\n" + "".join(rows))
    given = ["--database", str(folder / "db.tsv"), "--out", str(folder / "out")]
    return main(["run", str(path), *given, "--quiet", *options])


def read_results(folder):
    """Return the manifest, and the ions annotated at 5 % FDR."""
    with open(folder / "out/annotations.tsv") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    best = {r["formula"] + r["adduct"]: r for r in rows if float(r["fdr"]) <= 0.05}
    return json.loads((folder / "out/manifest.json").read_text()), best


def read_searched(folder):
    """Return what the top of the page says was searched, by its name."""
    top, _, rest = (folder / "out/report.html").read_text().partition("<main>")
    assert rest
    top = re.sub("<span[^>]*>|</span>", "", top)
    return dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", top, re.DOTALL))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep isotope patterns away from the user's."""
    folder = tmp_path_factory.getbasetemp() / "patterns"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


EVERYTHING = PLANTED + OTHERS
NEGATIVE_IONS = {f"{formula}-H" for formula in PLANTED}
FILTER_NEGATIVE = filter_string("FTMS - p NSI Full ms [100.00-900.00]")


@pytest.mark.parametrize(
    ("change", "source"),
    [
        (say(NEGATIVE, "fileContent"), "fileContent"),
        (say(FILTER_NEGATIVE, "scan"), "the filter string of its scans"),
    ],
)
def test_run__searches_the_ions_of_the_polarity(tmp_path, change, source):
    path = write(tmp_path, change, spectra=plant(-1))
    assert run(path, EVERYTHING) == 0
    record, best = read_results(tmp_path)
    assert best.keys() == NEGATIVE_IONS
    search = record["search"]
    assert (search["polarity"], search["polarity_from"]) == ("negative", source)
    assert search["adducts"] == ["-H", "+Cl"]
    assert read_searched(tmp_path)["Polarity"] == f"negative (by {source})"
    assert "polarity" not in [one["what"] for one in record["assumed"]]


def test_run__says_what_it_assumed(tmp_path, caplog):
    path = write(tmp_path, spectra=plant(-1))
    assert run(path, EVERYTHING) == 0
    said = "polarity positive is assumed, for x.imzML names none (--polarity"
    assert said in caplog.text
    record, _ = read_results(tmp_path)
    options = {one["what"]: one["option"] for one in record["assumed"]}
    assert options == {
        "polarity": "--polarity",
        "instrument": "--instrument",
        "resolving power": "--resolving-power",
    }
    searched = read_searched(tmp_path)
    because = "assumed, for x.imzML names none; --polarity says otherwise"
    assert searched["Polarity"] == f"positive <em>{because}</em>"
    assert searched["Instrument"].startswith("Orbitrap <em>assumed, for x.imzML ")


def test_run__polarity_of_the_adducts_where_nothing_else_tells(tmp_path, caplog):
    path = write(tmp_path, spectra=plant(-1))
    assert run(path, EVERYTHING, "--adducts", "[M-H]-, +Cl") == 0
    assert read_results(tmp_path)[1].keys() == NEGATIVE_IONS
    assert "polarity negative is assumed" in caplog.text


@pytest.mark.parametrize(
    ("adducts", "message"),
    [
        ("-H,+Cl", "-H, +Cl make no positive ions"),
        ("+H,-H", "-H make no positive ions"),
        ("[M-H]-", "make no positive ions"),
        ("[M]-", "or [M]+ if"),
        ("-H2O", "or [M-H2O]+ if"),
        ("\N{MINUS SIGN}H", "make no positive ions"),
        ("[M+2H]2+", "2 charges"),
        ("[2M+H]+", "2 molecules"),
    ],
)
def test_run__adducts_of_the_other_polarity(tmp_path, capsys, adducts, message):
    path = write(tmp_path, say(POSITIVE, "scan"))
    assert run(path, "C16H32O2", "--adducts", adducts) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_run__adducts_in_a_configuration_file(tmp_path, capsys):
    path = write(tmp_path, say(POSITIVE, "scan"), spectra=plant(1))
    config = tmp_path / "run.toml"
    losses = "\N{MINUS SIGN}H2O"
    config.write_text(f'adducts = ["[M+H]+", "M+H", "+H"]\nneutral-losses = "{losses}"')
    assert run(path, EVERYTHING, "--config", str(config)) == 0
    record, best = read_results(tmp_path)
    assert record["search"]["adducts"] == ["+H"]
    assert record["counted"] == {
        "adducts, losses and modifications given twice were taken once": 2
    }
    assert {f"{formula}+H" for formula in PLANTED} <= best.keys()
    config.write_text('adducts = ["[M-H]-"]\n')
    assert run(path, EVERYTHING, "--config", str(config)) == 2
    assert "make no positive ions" in capsys.readouterr().err


def test_run__profiles_need_a_decision(tmp_path, capsys):
    profiles = plant(1, n_points=5)
    said = [say(PROFILE, "spectrum"), say(POSITIVE, "scan")]
    path = write(tmp_path, *said, spectra=profiles)
    assert run(path, EVERYTHING) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "declares profile spectra" in line
    assert "--profile centroid" in line

    assert run(path, EVERYTHING, "--profile", "centroid") == 0
    record, best = read_results(tmp_path)
    assert best.keys() == {f"{formula}+H" for formula in PLANTED}
    counted = {"profile spectra were centroided (--profile centroid)": 48}
    assert record["counted"] == counted
    errors = [abs(float(row["mz_err_abs"])) / float(row["mz"]) for row in best.values()]
    assert max(errors) < 0.05e-6  # though no point is nearer than 1 ppm
    total = sum(height.sum() for *_, height in plant(1))
    n_peaks = sum(len(mz) for _, _, mz, _ in plant(1))
    assert record["dataset"]["peaks"] == n_peaks
    assert sum(float(row["total_intensity"]) for row in best.values()) < total * 1.001

    assert run(path, EVERYTHING, "--profile", "as-is") == 0
    record, _ = read_results(tmp_path)
    phrase = "profile spectra were searched point by point (--profile as-is)"
    assert record["counted"] == {phrase: 48}
    assert phrase[1:].partition("(")[0] in (tmp_path / "out/report.html").read_text()


def test_run__profiles_that_are_not_declared(tmp_path, caplog):
    path = write(tmp_path, say(CENTROID, "spectrum"), spectra=plant(1, n_points=5))
    assert run(path, EVERYTHING) == 0
    assert "form of spectra centroids is assumed" in caplog.text
    assert run(path, EVERYTHING, "--profile", "centroid") == 0
    record, best = read_results(tmp_path)
    assert best.keys() == {f"{formula}+H" for formula in PLANTED}
    assert "form of spectra" not in [one["what"] for one in record["assumed"]]


def test_run__centroids_that_are_centroided_again(tmp_path, caplog):
    path = write(tmp_path, say(CENTROID, "spectrum"), spectra=plant(1))
    assert run(path, EVERYTHING, "--profile", "centroid") == 0
    assert "x.imzML declares no profiles and its points lie in no even" in caplog.text
    record, _ = read_results(tmp_path)
    assert "form of spectra" in [one["what"] for one in record["assumed"]]


@pytest.mark.parametrize("tic", ["0", "-1.5", "NaN", "INF", "1e400", "none"])
def test_run__a_total_that_cannot_be_is_not_used(tmp_path, tic):
    def change(text):
        first = r'(accession="MS:1000285"[^>]*value=")[^"]*'
        return re.sub(first, rf"\g<1>{tic}", text, count=1)

    spectra = plant(1)
    path = write(
        tmp_path, say(POSITIVE, "scan"), change, spectra=spectra, with_tic=True
    )
    assert run(path, EVERYTHING, "--export", "csv", "--normalise", "tic") == 0
    record, _ = read_results(tmp_path)
    phrase = (
        "spectra have no total ion current above 0 in the file, so the sums of peaks "
        "were taken for all"
    )
    assert record["counted"] == {phrase: 1}
    found = read_export(tmp_path)
    path = write(tmp_path, say(POSITIVE, "scan"), spectra=spectra)
    assert run(path, EVERYTHING, "--export", "csv", "--normalise", "tic") == 0
    np.testing.assert_array_equal(found, read_export(tmp_path))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("norm", ["tic", "rms", "median"])
def test_run__empty_spectra_leave_numbers(tmp_path, norm):
    spectra = plant(1)
    spectra[3] = (*spectra[3][:2], [], [])
    spectra.append((*spectra[5][:2], [], []))  # at the place of another
    path = write(tmp_path, say(POSITIVE, "scan"), spectra=spectra)
    assert run(path, EVERYTHING, "--export", "csv", "--normalise", norm) == 0
    record, _ = read_results(tmp_path)
    assert record["counted"]["spectra are empty"] == 2
    found = read_export(tmp_path)
    assert np.isfinite(found).all()
    assert (found[:, 3] == 0).all()
    assert (np.delete(found, 3, axis=1) > 0).all()


def read_export(folder):
    """Return the intensities of annotations, shape (annotations, pixels)."""
    with gzip.open(folder / "out/pixel_intensities.csv.gz", "rt") as stream:
        _, *rows = csv.reader(stream)
    return np.array([row[4:] for row in rows], float)


def test_run__bad_rows_are_left_out_on_request(tmp_path, capsys):
    path = write(tmp_path, say(POSITIVE, "scan"), spectra=plant(1))
    formulas = [*EVERYTHING, "C6H7N.HCl", "C0H4"]
    assert run(path, formulas) == 2
    line = len(EVERYTHING) + 2
    assert f"line {line}: formula 'C6H7N.HCl'" in capsys.readouterr().err
    assert run(path, formulas, "--skip-bad-rows") == 0
    record, best = read_results(tmp_path)
    ((phrase, n),) = record["counted"].items()
    assert n == 2
    assert f"line {line}" in phrase
    assert best.keys() == {f"{formula}+H" for formula in PLANTED}
    assert record["search"]["databases"]["db"]["molecules"] == len(EVERYTHING)


def test_read_acquisition__a_group_that_holds_what_refers_to_it(tmp_path):
    inside = f'{NEGATIVE}<x><referenceableParamGroupRef ref="loop"/></x>'
    said = read_said(tmp_path, in_group(inside, "scan", "loop"))
    assert said.polarity == "negative"


@pytest.mark.parametrize(
    "text",
    ['polarity = "Positive"', 'instrument = "solarix"', 'ppm = "x"', "fdr = 2"],
)
def test_run__options_of_a_file_that_cannot_be(tmp_path, capsys, text):
    path = write(tmp_path, say(POSITIVE, "scan"))
    (tmp_path / "run.toml").write_text(text)
    assert run(path, "C16H32O2", "--config", str(tmp_path / "run.toml")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"run.toml: argument --{text.split()[0]}" in line
