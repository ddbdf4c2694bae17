"""Ion images in results.h5, in pieces: every value, and the same bytes however made."""

import json
import os
import signal
import sys

import h5py
import numpy as np
import numpy.testing as npt
import pytest

import naive_scores
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.storer import chunks
from imzml import plant_lipids
from metabolite_annotation.output import parts
from metabolite_annotation.program import main
from metabolite_annotation.spectra import load_spectra
from programs import assert_same, get_end

OPTIONS = ["--instrument", "FTICR", "--isocalc-sigma", "0.000619", "--fdr", "1"]
PPM = 3.0
ROWS = 500  # of a chunk, so that images reach over several and tasks have many
SMALL = (
    "import sys; from hpc_connector.storer import chunks; "
    f"chunks.CHUNK_ROWS = {ROWS}; "
    "from metabolite_annotation.program import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Return a small dataset, and the options of a run; patterns are cached."""
    folder = tmp_path_factory.mktemp("data")
    imzml, database = plant_lipids(folder)
    given = ["--database", str(database), "--pattern-cache", str(folder / "cache")]
    return imzml, ["run", str(imzml), *given, *OPTIONS, "--quiet"]


@pytest.fixture(scope="module")
def reference(dataset, tmp_path_factory):
    """Return the results of the dataset, in small chunks, alone."""
    out = tmp_path_factory.mktemp("reference") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_ROWS", ROWS)
        assert main([*dataset[1], "--out", str(out)]) == 0
    return out


def test_run__stores_the_images_and_errors_of_the_peaks(dataset, reference):
    with load_spectra(get_mpicomm(serial=True), read_imzml(str(dataset[0]))) as spectra:
        peaks = [np.array(column) for column in spectra.peaks.to_tuple()]
    with h5py.File(reference / "results.h5") as file:
        images = {name: column[:] for name, column in file["images"].items()}
        assert file["images/intensity"].chunks == (ROWS,)
        ppm = images["mz_error"] * file.attrs["ppm"] / 1000
    start, errors = images["indptr"], images["mz_error_indptr"]
    assert start[-1] > 10 * ROWS
    assert len(images["pixel"]) == len(images["intensity"]) == start[-1]
    for k, mz in enumerate(images["mz"].ravel()):
        here = slice(start[k], start[k + 1])
        slow, _ = naive_scores.draw_image(select(peaks, mz), 270, mz, PPM)
        npt.assert_array_equal(images["pixel"][here], np.flatnonzero(slow))
        npt.assert_array_equal(images["intensity"][here], slow[slow > 0])
        if k % 4 == 0:
            found = ppm[errors[k // 4] : errors[k // 4 + 1]]
            slow = get_slow_errors(peaks, images["pixel"][here], mz)
            npt.assert_allclose(found, slow, atol=PPM / 1000)


def select(peaks, mz):
    """Return the few peaks near an m/z, which the slow ones look through."""
    near = abs(peaks[0] - mz) < 1e-4 * mz
    return [column[near] for column in peaks]


def get_slow_errors(peaks, pixels, mz):
    """Return the mean error in ppm of pixels of an image."""
    at, pixel, intensity = select(peaks, mz)
    inside = abs(at - mz) <= PPM * 1e-6 * mz * (1 + 1e-9)
    here = [inside & (pixel == one) for one in pixels]
    return [np.average(1e6 * (at[h] - mz) / mz, weights=intensity[h]) for h in here]


@pytest.mark.parametrize("ranks", [2, 3])
def test_run__packs_the_same_bytes_on_ranks(dataset, reference, tmp_path, ranks):
    options = [*dataset[1], "--out", str(tmp_path / "out")]
    launch = ["mpirun", "-n", str(ranks)]
    code, lines, _ = get_end([*launch, sys.executable, "-c", SMALL, *options])
    assert (code, lines) == (0, [])
    assert_same(tmp_path / "out", reference)


@pytest.mark.parametrize(("threads", "most"), [(2, 1), (1, 3000), (2, 1 << 20)])
def test_run__packs_the_same_bytes_in_any_tasks(
    dataset, reference, tmp_path, monkeypatch, threads, most
):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", ROWS)
    monkeypatch.setattr(parts, "FEWEST_TASKS", 1)
    monkeypatch.setattr(parts, "MOST_VALUES", most)
    options = ["--threads", str(threads), "--out", str(tmp_path / "out")]
    assert main([*dataset[1], *options]) == 0
    assert_same(tmp_path / "out", reference)


def test_run__stopped_among_the_images_goes_on(
    dataset, reference, tmp_path, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", ROWS)
    out, save_part = tmp_path / "out", parts.save_part

    def stop(folder, number, *rest):
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return save_part(folder, number, *rest)

    monkeypatch.setattr(parts, "save_part", stop)
    assert main([*dataset[1], "--out", str(out)]) == 75
    assert json.loads((out / "manifest.json").read_text())["status"] == "stopped"
    assert not (out / "results.h5").exists()
    assert not (out / "images").exists()
    monkeypatch.setattr(parts, "save_part", save_part)
    assert main([*dataset[1], "--out", str(out), "--resume"]) == 0
    assert_same(out, reference)


def test_run__with_a_signal_while_the_file_is_put_together(
    dataset, reference, tmp_path, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", ROWS)
    read_chunks = parts.Stored.read_chunks

    def stop(stored):
        os.kill(os.getpid(), signal.SIGTERM)
        return read_chunks(stored)

    monkeypatch.setattr(parts.Stored, "read_chunks", stop)
    assert main([*dataset[1], "--out", str(tmp_path / "out")]) == 0
    assert_same(tmp_path / "out", reference)


def test_cut__gives_every_ion_to_one_task():
    rng = np.random.default_rng(1)
    for n_values in (rng.integers(0, 10**6, 900), np.zeros(5, int), [], [7], [0, 9**9]):
        cuts = parts.cut(np.array(n_values, np.int64))
        assert cuts[0] == 0
        assert cuts[-1] == len(n_values)
        assert (np.diff(cuts) > 0).all()
    assert len(parts.cut(np.full(300, 155_000))) > 45
