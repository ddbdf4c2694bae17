"""Lists and cohort options: they choose what PLINK chooses by the same words."""

import json
import os
import subprocess

import h5py
import numpy as np
import pytest

from cohorts import choose, make_linked, run_plink, save_cohort
from hpc_connector.options import make_options
from mdr_epistasis import program
from mdr_epistasis.cohort.choice import join_ranges, read_chromosomes, read_range
from mdr_epistasis.options import Options
from programs import PATIENCE_S, assert_same

N_VARIANTS, N = 90, 120
ALL = ["--min-maf", "0", "--max-missing", "1", "--folds", "2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with the cohort x on chromosomes 1, 2, X and 0, and lists."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(5)
    genotypes = make_linked(rng, N_VARIANTS, N, 0.04)
    chromosomes = np.repeat(["1", "2", "4", "X"], [40, 30, 15, 5])
    positions = np.cumsum(rng.integers(1, 3000, N_VARIANTS))
    females = [2] * N  # of males PLINK would count X once
    is_case = rng.random(N) < 0.5
    save_cohort(folder / "x", genotypes, chromosomes, is_case, females, positions)
    ids = rng.permutation(N_VARIANTS)
    write(folder / "ids", [f"v{k}" for k in ids[:60]], "nothing")
    write(folder / "others", [f"v{k}" for k in ids[40:80]], "v999")
    write(folder / "ranges", ["1 5000 30000 A", "1 20000 50000 A", "2 70000 71000 B"])
    people = rng.permutation(N)
    write(
        folder / "people", [f"F{k // 2} I{k} x" for k in people[:80]], "F1 I9", "F0 no"
    )
    write(folder / "few", [f"F{k // 2} I{k}" for k in people[60:90]])
    write(folder / "headed", ["#IID", *(f"I{k}" for k in people[:50])])
    write(folder / "plain", [f"I{k}" for k in people[:50]])
    return folder


def write(path, lines, *more):
    path.write_text("\n".join([*lines, *more]) + "\n")


SAME = [
    "--keep people",
    "--remove people",
    "--keep people --remove few",
    "--extract ids",
    "--exclude ids",
    "--extract ids --exclude others",
    "--extract range ranges",
    "--exclude range ranges",
    "--chr 2",
    "--chr 1-2,X",
    "--chr 1 --from-bp 20000 --to-bp 40000",
    "--chr 2 --to-bp 90000",
    "--geno 0.02",
    "--maf 0.3",
    "--hwe 0.1",
    "--mind 0.04",
    "--mind 0.04 --extract ids --geno 0.05 --hwe 0.02 --maf 0.1 --keep people",
]


@pytest.mark.parametrize("words", SAME)
def test_options__choose_what_plink_chooses(words, place, monkeypatch):
    ours = choose(place, monkeypatch, *ALL, *words.split())
    variants, individuals = run_plink(place, *words.split())
    assert ours[0] == variants
    assert set(ours[1]) == set(individuals)
    assert len(variants) < N_VARIANTS or len(individuals) < N
    assert sum(ours[2]["removed"].values()) == N_VARIANTS - len(variants)


@pytest.mark.parametrize("words", ["--keep headed", "--keep plain", "--remove headed"])
def test_keep__of_iids_alone_as_plink2(words, place, monkeypatch):
    """Which takes their FID for 0: those of other families it does not find."""
    ours = choose(place, monkeypatch, *ALL, *words.split())
    lines = (place / "x.fam").read_text().splitlines()
    write(place / "zero.fam", [f"0 {line.split(' ', 1)[1]}" for line in lines])
    words = f"--fam zero.fam {words}"
    _, individuals = run_plink(place, *words.split(), program="plink2")
    assert set(ours[1]) == set(individuals)
    assert choose(place, monkeypatch, *ALL, *words.split()) == ours


def test_options__say_what_each_removed(place, monkeypatch):
    words = "--keep people --remove few --extract ids --exclude others --mind 0.06"
    words += " --chr 1,2,7 --geno 0.05 --hwe 0.3 --maf 0.1 --ld-prune 5 1 0.5"
    _, kept, facts, counted = choose(place, monkeypatch, "--folds=2", *words.split())
    removed = facts["removed"]
    assert set(removed) == {
        "elsewhere (--chr, --from-bp, --to-bp)",
        "linked (--ld-prune)",
        "missing genotypes",
        "not of --extract",
        "of --exclude",
        "out of Hardy-Weinberg equilibrium",
        "rare",
    }
    assert sum(removed.values()) + facts["variants_kept"] == N_VARIANTS
    assert counted["individuals are not of --keep, and were left out"] == 40
    assert counted["individuals are of --remove, and were left out"] == 20
    lacking = counted[
        "individuals lack more genotypes than --mind allows, and were left out"
    ]
    assert lacking == 60 - len(kept)
    assert counted["ids of --keep have no genotypes"] == 2
    assert counted["ids of --extract are of no variant that was kept"] > 1
    assert counted["ids of --exclude left out no variant"] > 1
    assert counted["chromosomes of --chr are of no variant"] == 1


def test_ld_prune__leaves_variants_without_a_chromosome_out(place, monkeypatch):
    lines = (place / "x.bim").read_text()
    write(place / "half.bim", [lines.replace("X\t", "0\t")])
    words = ["--bim", "half.bim", "--ld-prune", "2", "1", "1"]
    ids, _, facts, _ = choose(place, monkeypatch, *ALL, *words)
    assert facts["removed"]["without a chromosome (--ld-prune)"] == 5
    assert "v89" not in ids


def test_read_chromosomes__as_plink_writes_them():
    assert read_chromosomes("22-X") == {"22", "X"}
    assert read_chromosomes("chr3, 23 xy,M") == {"3", "X", "XY", "MT"}
    assert read_chromosomes("scaffold-7") == {"SCAFFOLD-7"}


def test_extract__a_bed_file_counts_from_0(place, monkeypatch):
    """Of UCSC, half-open: its first base pair is the one after."""
    where = {}
    for line in (place / "x.bim").read_text().splitlines():
        chromosome, name, _, position, *_ = line.split()
        where[name] = chromosome, int(position)
    rows = [("v3", 1), ("v4", 0), ("v50", 1)]
    lines = [f"{where[n][0]} {where[n][1] - k} {where[n][1]}" for n, k in rows]
    write(place / "half", lines)
    assert choose(place, monkeypatch, *ALL, "--extract", "bed0", "half")[0] == [
        "v3",
        "v50",
    ]
    found = choose(place, monkeypatch, *ALL, "--extract", "bed1", "half")[0]
    assert {"v3", "v4", "v50"} <= set(found)


WRONG = {
    "--keep none": "none: cannot be read",
    "--keep empty": "empty is empty: expected FID and IID",
    "--keep ids": "--keep leaves nobody of 120 individuals",
    "--remove fam": "--remove leaves nobody of 120 individuals",
    "--keep one": "for 2 folds: expected one a fold or more",
    "--extract empty": "empty is empty: expected an id",
    "--extract range": "--extract range: expected a file after it",
    "--extract range ids": "ids: line 1: expected a chromosome, and its first and last",
    "--extract range turned": "turned: line 2: 4 is before 5",
    "--extract range empty": "empty is empty: expected a chromosome and a range",
    "--exclude every": "no variant is left of 90 read (removed: 90 of --exclude)",
    "--chr 7": "--chr: no variant is on 7; expected some of 1, 2, 4, X",
    "--chr ,": "--chr names no chromosome",
    "--chr 4-2": "--chr 4-2: expected a range such as 1-4",
    "--from-bp 5": "--from-bp: expected --chr with one chromosome",
    "--chr 1,2 --to-bp 5": "--to-bp: expected --chr with one chromosome",
    "--chr 1 --from-bp 9 --to-bp 5": "--to-bp 5 is before --from-bp 9",
    "--hwe 2": "2: expected 0..1",
    "--ld-prune 50 5 2": "--ld-prune 50 5 2: expected a window",
    "--ld-prune 5 50 0.2": "--ld-prune 5 50 0.2: expected a window",
    "--ld-prune x 1 0.2": "--ld-prune x 1 0.2: expected a window",
    "--ld-prune kb 1 0.2": "--ld-prune kb 1 0.2: expected a window",
    "--ld-prune 50 5": "expected 3 arguments",
}


@pytest.mark.parametrize("words", WRONG)
def test_run__lists_that_cannot_be(words, place, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(place)
    (place / "empty").write_text("")
    write(place / "one", ["F0 I0"])
    write(place / "turned", ["1 4 5", "1 5 4"])
    write(place / "every", [f"v{k}" for k in range(N_VARIANTS)])
    write(place / "fam", (place / "x.fam").read_text().splitlines())
    out = tmp_path / "out"
    try:
        code = program.main(["run", "x.bed", "--out", str(out), *ALL, *words.split()])
    except SystemExit as end:
        code = end.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert WRONG[words] in line
    assert not out.exists()


def test_options__of_a_file_and_of_python_have_both_names(place):
    by_file = {"geno": 0.1, "maf": 0.2, "ld-prune": [50, 5, 0.2], "keep": "people"}
    args = program_options(by_file)
    assert (args.max_missing, args.min_maf) == (0.1, 0.2)
    assert args.ld_prune == ("50", "5", "0.2")
    words = "x.bed --keep people --min-maf 0.2 --max-missing 0.1 --ld-prune 50 5 0.2"
    assert " ".join(args.words) == f"{words} --out out"


def program_options(given):
    return make_options(Options, {"genotypes": "x.bed", "out": "out"} | given)


MANY = "--mind 0.05 --chr 1-4 --hwe 1e-3 --ld-prune 20 2 0.4 --exclude others"


def test_run__same_bytes_on_three_ranks_and_two_nodes(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    words = ["run", "x.bed", "--folds", "3", "--quiet", *MANY.split(), "--out"]
    assert program.main([*words, str(tmp_path / "one")]) == 0
    launch = ["mpirun", "-n", "3", "mdr-epistasis", *words, str(tmp_path / "three")]
    apart = os.environ | {"MPIR_CVAR_NOLOCAL": "1"}  # as if on a node each
    subprocess.run(launch, check=True, timeout=PATIENCE_S, env=apart)
    assert_same(tmp_path / "three", tmp_path / "one")
    notes = [
        json.loads((tmp_path / name / "manifest.json").read_text())
        for name in ("one", "three")
    ]
    assert notes[0]["counted"] == notes[1]["counted"]
    assert notes[0]["cohort"] == notes[1]["cohort"]
    with h5py.File(tmp_path / "one/results.h5") as file:
        assert len(file["variants/id"]) == notes[0]["cohort"]["variants_kept"] < 60


@pytest.mark.parametrize("first", ["-9" + 25 * "0", "0", 25 * "9"])
def test_read_range__whose_ends_are_beyond_any_integer(first):
    name, *ends = read_range(["chr1", first, 25 * "9"], "line 1")
    found = join_ranges([(ends[0] + 1, ends[1])])
    assert name == "1"
    assert found[0, 1] >= 10**12
    assert found[0, 0] == 1 or first == 25 * "9"
