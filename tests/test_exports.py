"""Exports of a run: what others read of them, and that they are the run's own."""

import csv
import errno
import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import anndata
import numpy as np
import numpy.testing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.loader.spectra.ibd import check_ibd, read_spectra
from hpc_connector.loader.spectra.imzml import read_imzml
from imzml import plant_lipids
from metabolite_annotation import load
from metabolite_annotation.export import peaks, spatial_data
from metabolite_annotation.export.formats import EXPORTS
from metabolite_annotation.export.found import open_found
from metabolite_annotation.export.metaspace import format_number
from metabolite_annotation.program import main
from programs import get_end, make_command

pytestmark = pytest.mark.usefixtures("own_patterns")

EVERY = ",".join(EXPORTS)
MISSING_EVERY = 7  # pixel of the box
WIDTH, HEIGHT = 18, 15
SETTINGS = """<scanSettings id="s">
<cvParam accession="IMS:1000410" name="meandering"/>
<cvParam accession="IMS:1000481" name="vertical line scan"/>
<cvParam accession="IMS:1000046" value="0.05" unitAccession="UO:0000016"/>
<cvParam accession="IMS:1000047" value="25" unitAccession="UO:0000017"/>
</scanSettings>"""
GIVEN = ["--instrument", "FTICR", "--isocalc-sigma", "0.000619", "--quiet"]
GIVEN += ["--fdr", "1"]
MODIFIED = ["--neutral-losses", "-H2O", "--chem-mods", "-CO2+CO"]
# METASPACE's AnnotationTable.vue, startExport, with its default features
HEADER = [
    *("group", "datasetName", "datasetId", "formula", "adduct", "chemMod"),
    *("neutralLoss", "ion", "mz", "massError", "msm", "fdr", "rhoSpatial"),
    *("rhoSpectral", "rhoChaos", "moleculeNames", "moleculeIds", "minIntensity"),
    *("maxIntensity", "totalIntensity", "isomeric_mols_count"),
    *("isomeric_ions_count", "isobaric_ions_count", "offSample"),
    *("rawOffSampleProb", "isobarIons"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with a dataset of 50 x 25 um pixels whose box has holes.

    The database also has molecules that lose water or oxygen to be those planted.
    """
    folder = tmp_path_factory.mktemp("files")
    imzml, database = plant_lipids(folder)
    with open(database, "a") as stream:
        for n in range(14, 34):
            stream.write(f"W{n}\thydrate, of {n};\tC{n}H{2 * n - 2}NO5P\n")
            stream.write(f"O{n}\t'oxide' &alpha; {n}\tC{n}H{2 * n - 4}NO5P\n")
    text = imzml.read_text().replace('<scanSettings id="s"/>', SETTINGS)
    for spectrum in re.findall(r"<spectrum .*</spectrum>", text)[3::MISSING_EVERY]:
        text = text.replace(spectrum, "")
    n = text.count("<spectrum ")
    imzml.write_text(re.sub(r'(<spectrumList count=)"\d+"', rf'\1"{n}"', text))
    return folder


def list_words(files, out, *more):
    given = [files / "small.imzML", "--database", files / "lipids.tsv", *GIVEN]
    return [*map(str, given), *MODIFIED, "--out", str(out), *more]


@pytest.fixture(scope="module")
def run(files):
    """Return the folder of a run that made every export."""
    out = files / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries among themselves
        assert main(["run", *list_words(files, out, "--export", EVERY)]) == 0
    return out


def list_bytes(folder):
    """Return the bytes of all files of exports, by name."""
    names = [file for files in EXPORTS.values() for file in files]
    tops = [folder / name for name in names]
    below = [path for top in tops for path in [top, *top.rglob("*")] if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in below}


def get_image(result, row):
    """Return the first image of an annotation, NaN where there is no spectrum."""
    return result.ion_image(row.formula, row.adduct)


# Any way to the same files


def test_export__afterwards_is_what_the_run_made(run, tmp_path, capsys):
    before = list_bytes(run)
    assert len({name.partition("/")[0] for name in before}) == 6
    out = tmp_path / "copy"
    shutil.copytree(run, out)
    for name in list_bytes(out):
        (out / name).unlink()
    shutil.rmtree(out / "annotations.zarr")
    record = json.loads((out / "manifest.json").read_text())
    record["outputs"] = ["annotations.tsv"]
    (out / "manifest.json").write_text(json.dumps(record))
    assert main(["export", str(out), "--export", EVERY]) == 0
    assert list_bytes(out) == before
    made = [name for names in EXPORTS.values() for name in names]
    assert capsys.readouterr().out.split() == [str(out / name) for name in made]
    record = json.loads((out / "manifest.json").read_text())
    assert record["outputs"] == ["annotations.tsv", *made]


def test_export__again_replaces_what_was_there_and_leaves_nothing(run, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(run, out)
    words = ["export", str(out), "--export", EVERY, "--normalise", "tic"]
    assert main(words) == 0
    assert {path.name for path in out.iterdir()} == {p.name for p in run.iterdir()}
    once = list_bytes(out)
    assert once.keys() == list_bytes(run).keys()
    assert once["annotated_peaks.ibd"] != list_bytes(run)["annotated_peaks.ibd"]
    assert main(words) == 0
    assert list_bytes(out) == once


def test_export__same_on_two_ranks(files, run):
    words = list_words(files, files / "two", "--export", EVERY)
    command = make_command(2, *words, program="metabolite_annotation")
    assert get_end(command)[0] == 0
    assert list_bytes(files / "two") == list_bytes(run)


# What others make of AnnData


@pytest.fixture(scope="module")
def consumed(run, tmp_path_factory):
    """Return what METASPACE's converter, scanpy and squidpy find."""
    out = tmp_path_factory.mktemp("consumed") / "found.json"
    script = Path(__file__).parent / "consumers.py"
    words = [sys.executable, script, run / "annotations.h5ad", out]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(out.read_text())


def test_anndata__is_read_by_metaspace_converter(run, consumed):
    result, found = load(run), consumed["converter"]
    rows = list(result.annotations.itertuples())
    images = np.nan_to_num([get_image(result, row) for row in rows])
    npt.assert_array_equal(np.array(found["images"], np.float32), images)
    kept = np.array(found["thresholded"])
    assert (kept >= 0).all()
    length = np.linalg.norm(kept, axis=1)
    expected = kept @ kept.T / (length * length[:, None])
    npt.assert_allclose(found["colocalization"], expected, atol=1e-5)


def test_anndata__is_read_by_scanpy(run, consumed):
    n_spectra = load(run).record["dataset"]["pixels"]
    found = consumed["scanpy"]
    assert found["n"] == n_spectra < WIDTH * HEIGHT
    sums = np.array(found["sums"])
    npt.assert_allclose(sums[sums > 0], 1e4, rtol=1e-5)
    assert found["pca_is_finite"]
    assert found["edges"] > n_spectra
    assert found["drawn"] == 1


def test_anndata__is_read_by_squidpy(run, consumed):
    found = consumed["squidpy"]
    assert found["edges"] == 2 * ((WIDTH - 1) * HEIGHT + WIDTH * (HEIGHT - 1))
    result = load(run)
    for row, moran in zip(result.annotations.itertuples(), found["moran"], strict=True):
        image = np.nan_to_num(get_image(result, row)).astype(float)
        assert abs(moran - get_moran_naively(image)) < 1e-4


def get_moran_naively(image):
    """Return Moran's I of an image; a pixel's up to four neighbours weigh 1 in all."""
    z = image - image.mean()
    total = 0.0
    for y, x in np.ndindex(image.shape):
        near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        near = [(j, i) for j, i in near if 0 <= j < HEIGHT and 0 <= i < WIDTH]
        total += z[y, x] * np.mean([z[place] for place in near])
    return total / (z * z).sum()


# SpatialData


@pytest.fixture(scope="module")
def store(run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import spatialdata

        return spatialdata.read_zarr(run / "annotations.zarr")


@pytest.mark.filterwarnings("ignore")
def test_spatialdata__has_ion_images_and_points_with_their_table(run, store):
    result = load(run)
    rows = list(result.annotations.itertuples())
    image, table = store.images["ion_images"], store.tables["table"]
    assert image.dims == ("c", "y", "x")
    assert image.coords["c"].to_numpy().tolist() == table.var_names.tolist()
    known = [get_image(result, row) for row in rows]
    npt.assert_array_equal(image.to_numpy(), np.array(known))
    alone = anndata.read_h5ad(run / "annotations.h5ad")
    npt.assert_array_equal(table.X, alone.X)
    assert set(table.obs.columns) - set(alone.obs.columns) == {"region", "instance_id"}
    points = store.points["maldi_points"].compute()
    npt.assert_array_equal(points[["x", "y"]], alone.obsm["spatial"] + 0.5)
    assert points.index.tolist() == table.obs["instance_id"].tolist()
    assert set(table.obs["region"]) == {"maldi_points"}


@pytest.mark.filterwarnings("ignore")
def test_export__of_no_annotation_and_pixels_of_no_known_size(files, tmp_path):
    import spatialdata
    from pyimzml.ImzMLParser import ImzMLParser

    text = (files / "small.imzML").read_text().replace(SETTINGS, "<scanSettings/>")
    (tmp_path / "small.imzML").write_text(text)
    shutil.copy(files / "small.ibd", tmp_path)
    (tmp_path / "lipids.tsv").write_text("id\tname\tformula\n1\tfullerane\tC60H2\n")
    out = tmp_path / "out"
    assert main(["run", *list_words(tmp_path, out, "--export", EVERY)]) == 0
    assert "pixel_size_um" not in load(out).record["dataset"]
    assert len((out / "metaspace_annotations.csv").read_text().splitlines()) == 3
    store = spatialdata.read_zarr(out / "annotations.zarr")
    assert not store.images
    assert store.attrs["unit"] == "pixel"
    assert store.tables["table"].shape == (WIDTH * HEIGHT, 0)
    box = spatialdata.get_extent(store.points["maldi_points"])
    ends = {axis: tuple(map(float, pair)) for axis, pair in box.items()}
    assert ends == {"x": (0.5, WIDTH - 0.5), "y": (0.5, HEIGHT - 0.5)}
    with ImzMLParser(str(out / "annotated_peaks.imzML")) as found:
        spectra = [found.getspectrum(k)[1] for k in range(len(found.coordinates))]
    assert len(spectra) == load(out).record["dataset"]["pixels"]
    assert not np.concatenate(spectra).any()


@pytest.mark.filterwarnings("ignore")
def test_spatialdata__is_placed_in_micrometres(store):
    from spatialdata import get_extent
    from spatialdata.transformations import get_transformation

    box = get_extent(store.images["ion_images"])
    assert {axis: tuple(ends) for axis, ends in box.items()} == {
        "x": (0, 50 * WIDTH),
        "y": (0, 25 * HEIGHT),
    }
    assert store.attrs["unit"] == "micrometer"
    for element in (store.images["ion_images"], store.points["maldi_points"]):
        scale = get_transformation(element, "global").to_affine_matrix("xy", "xy")
        npt.assert_array_equal(np.diag(scale), [50, 25, 1])


def test_spatialdata__that_fails_leaves_the_store_of_before(run, tmp_path, monkeypatch):
    out = tmp_path / "copy"
    shutil.copytree(run, out)

    class Full:
        def write(self, store):
            store.mkdir()
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spatial_data, "make_spatialdata", lambda _: Full())
    assert main(["export", str(out), "--export", "spatialdata"]) != 0
    assert list_bytes(out) == list_bytes(run)
    assert {path.name for path in out.iterdir()} == {p.name for p in run.iterdir()}


# imzML


def test_imzml__is_read_by_our_reader(run):
    found = read_imzml(str(run / "annotated_peaks.imzML"))
    check_ibd(found, uuid=True, checksum=True)
    assert found.polarity == "positive"
    assert not found.is_profile.any()
    assert found.pixel_size_um == (50, 25)
    assert found.scan_order["scan_pattern"] == "meandering"
    assert found.scan_order["scan_type"] == "vertical_line"


def test_imzml__is_read_by_pyimzml(run):
    from pyimzml.ImzMLParser import ImzMLParser

    path = str(run / "annotated_peaks.imzML")
    ours, data = read_imzml(path), anndata.read_h5ad(run / "annotations.h5ad")
    there = data.obs[data.obs["tic"] > 0]
    x, y = there["ion_image_pixel_x"] + 1, there["ion_image_pixel_y"] + 1
    with ImzMLParser(path) as theirs:
        assert theirs.polarity == "positive"
        assert theirs.imzmldict["pixel size x"] == 50
        assert theirs.imzmldict["pixel size y"] == 25
        assert theirs.coordinates == list(zip(x, y, [1] * len(x), strict=True))
        for k in range(len(x)):
            mz, intensity = theirs.getspectrum(k)
            assert (np.diff(mz) > 0).all()
            found = read_spectra(ours, k, k + 1)
            npt.assert_array_equal(found.mz, mz[intensity > 0])
            npt.assert_array_equal(found.intensity, intensity[intensity > 0])


def test_imzml__has_the_images_of_the_run(files, run, tmp_path):
    """An annotation of the export finds in it what the run found."""
    words = [str(run / "annotated_peaks.imzML"), "--database", files / "lipids.tsv"]
    words += [*GIVEN, *MODIFIED, "--out", tmp_path / "again"]
    assert main(["run", *map(str, words)]) == 0
    before, after = load(run), load(tmp_path / "again")
    known = {(row.formula, row.adduct) for row in after.annotations.itertuples()}
    rows = before.annotations[before.annotations["isobars"] == ""]
    assert len(rows) > 10
    for row in rows.itertuples():
        assert (row.formula, row.adduct) in known
        for peak in range(4):
            images = [
                r.ion_image(row.formula, row.adduct, peak) for r in (before, after)
            ]
            npt.assert_array_equal(*images)


def list_spectra_naively(found):
    """Return the peaks of each pixel, a set of m/z and intensity."""
    file = found.file
    mz, start = file["images/mz_mean"][:].ravel(), file["images/indptr"][:]
    spectra = [set() for _ in found.pixels["x"]]
    for image in range(len(mz)):
        part = slice(start[image], start[image + 1])
        pixels, values = file["images/pixel"][part], file["images/intensity"][part]
        for pixel, value in zip(pixels, values, strict=True):
            spectra[pixel].add((mz[image], value))
    return spectra


@pytest.mark.parametrize("most", [700, 1 << 23])
def test_list_spectra__agrees_with_naive(run, most):
    with open_found(run, load(run).record, "none") as found:
        spectra = list(peaks.list_spectra(found, most))
        naive = list_spectra_naively(found)
    assert len(spectra) == len(naive)
    for one, known in zip(spectra, naive, strict=True):
        peaks_ = set(zip(one.mz, one.intensity, strict=True))
        assert len(one.mz) == max(len(known), 1)
        assert peaks_ == known or (not known and one.intensity.tolist() == [0])


def test_choose_images__counts_those_that_are_the_same_once():
    """Two ions whose windows hold the same peaks; the last differs in intensity."""
    columns = {
        "images/indptr": np.array([0, 2, 3, 5, 5, 7, 8]),
        "images/mz_mean": np.array([[200.0, 201], [200, 0], [200, 201]]),
        "images/mz_std": np.zeros((3, 2)),
        "images/total_intensity": np.array([[7.0, 3], [7, 0], [8, 3]]),
    }
    found = peaks.choose_images(SimpleNamespace(read=columns.__getitem__))
    kept = [tuple(ends) for ends in found.tolist() if ends[0] < ends[1]]
    assert kept == [(0, 2), (2, 3), (5, 7)]


# METASPACE's table


@pytest.fixture(scope="module")
def table(run):
    """Return the rows as its users read them, text alone."""
    path = run / "metaspace_annotations.csv"
    assert [line[:2] for line in path.read_text().splitlines()[:2]] == ["# ", "# "]
    with open(path, newline="") as stream:
        return list(csv.reader(stream))[2:]


def test_metaspace__has_the_columns_of_its_download(run, table):
    header, *rows = table
    assert header == HEADER
    ours = load(run).annotations
    assert len(rows) == len(ours) > 20
    number = re.compile(r"-?\d+(\.\d+)?(e-\d+)?")
    for row, known in zip(rows, ours.itertuples(), strict=True):
        one = dict(zip(HEADER, row, strict=True))
        text = ("group", "datasetId", "offSample", "rawOffSampleProb")
        assert {one[name] for name in text} == {""}
        assert one["datasetName"] == "small"
        parts = one["chemMod"], one["neutralLoss"], one["adduct"].removeprefix("M")
        assert "".join(parts) == known.adduct
        assert parts[2] in ("+H", "+Na", "+K")
        assert set(parts[:2]) <= {"", "-CO2+CO", "-H2O"}
        assert one["ion"] == f"{known.formula}{known.adduct}+"
        assert all(number.fullmatch(one[name]) for name in HEADER[8:15])
        assert float(one["mz"]) == known.mz
        npt.assert_allclose(float(one["massError"]), 1e6 * known.mz_err_abs / known.mz)
        assert float(one["rhoChaos"]) == known.chaos
        assert float(one["totalIntensity"]) == known.total_intensity
        assert one["minIntensity"] == "0"
        assert one["moleculeIds"].split(", ") == known.molecule_ids.split("; ")
        n = [len(names.split("; ")) if names else 0 for names in known[-2:]]
        assert [int(one[name]) for name in HEADER[21:23]] == n
    names = {row[15] for row in rows}
    assert {"lipid 4", "hydrate,of 20", "'oxide' \u03b1 20"} <= names
    for column, other in ((5, "-CO2+CO"), (6, "-H2O")):
        assert {row[column] for row in rows} == {"", other}


def test_metaspace__is_read_by_pandas_as_its_users_do(run):
    found = pd.read_csv(run / "metaspace_annotations.csv", skiprows=2)
    assert found.columns.tolist() == HEADER
    kinds = {name: column.dtype.kind for name, column in found.items()}
    assert {kinds[name] for name in HEADER[8:15]} == {"f"}
    assert {kinds[name] for name in HEADER[20:23]} == {"i"}
    assert found["offSample"].isna().all()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_format_number__is_the_number(value):
    text = format_number(value)
    assert float(text) == value
    assert not re.search(r"e[+-]0|\.0$|\.$", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5, "1.5"),
        (-0.25, "-0.25"),
        (7, "7"),
    ],
)
def test_format_number__is_as_javascript_writes_it(value, text):
    assert format_number(value) == text


# What is refused


@pytest.mark.parametrize("library", ["anndata", "spatialdata", "pyimzml"])
def test_export__needs_its_library_before_anything_is_done(
    library, files, tmp_path, monkeypatch, capsys
):
    name = {"pyimzml": "imzml"}.get(library, library)
    monkeypatch.setitem(sys.modules, library, None)
    words = list_words(files, tmp_path / "out", "--export", f"csv,{name}")
    assert main(["run", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"--export {name} needs {library}" in said
    assert f"hpc_connector[{name}]" in said
    assert not list((tmp_path / "out").glob("*.csv*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none", "--export", "csv"], "none holds no run"),
        ([".", "--export", "pdf"], "pdf: expected some of csv, anndata, spatialdata"),
        (["."], "--export"),
        ([".", "--export", "csv", "--normalise", "max"], "invalid choice: 'max'"),
    ],
)
def test_export__refuses_in_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["export", *words])
    except SystemExit as end:  # of words that are none of the command's
        code = end.code
    assert code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_export__of_damaged_results_says_so(run, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(run, out)
    data = bytearray((out / "results.h5").read_bytes())
    data[2000 : len(data) // 2] = bytes(len(data) // 2 - 2000)
    (out / "results.h5").write_bytes(data)
    assert main(["export", str(out), "--export", "csv"]) == 2
    assert "results.h5 is damaged" in capsys.readouterr().err
