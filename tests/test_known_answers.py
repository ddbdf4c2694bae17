"""Data sets with a known answer, from files to the top of the list."""

import csv
from pathlib import Path

import pytest

from mdr_epistasis.program import main

DATA = Path(__file__).parent / "data"

KNOWN = [  # genotypes, options, best model, its accuracy, the runner-up's
    ("gametes_2way_20snps_1600/*.tsv.gz", "", {"P1", "P2"}, 0.793125, 0.5325),
    (
        "gametes_2way_missing10pct_20snps_1600/*.tsv.gz",
        "--max-missing 0.3",
        {"M0P0", "M0P1"},
        0.812964,
        0.548987,
    ),
    ("r_mdr/mdr1.txt.gz", "", {"SNP.4", "SNP.9"}, 0.668, None),
    ("r_mdr/mdr2.txt.gz", "", {"SNP.4", "SNP.9"}, 0.700, None),
    ("gametes_2way_100snps_1600/*.txt.gz", "", {"M0P0", "M0P1"}, 0.634375, 0.553125),
    ("gametes_2way_1000snps_3200/*.txt.gz", "", {"M0P0", "M0P1"}, 0.593125, 0.545),
    (
        "gametes_3way_60snps_2000/*.txt.gz",
        "--order 3",
        {"M0P0", "M0P1", "M0P2"},
        0.7030,
        0.5660,
    ),
    ("bitepi_plink_100snps_2000/bfile.bed", "", {"N17", "N88"}, 0.55, 0.55),
]


def search(genotypes, out, *options):
    command = ["run", *genotypes, "--out", str(out), "--min-maf", "0", "--quiet"]
    assert main([*command, *options]) == 0
    with open(out / "models.tsv") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def get_variants(model):
    return {value for name, value in model.items() if name.startswith("variant_")}


@pytest.mark.parametrize(
    ("pattern", "options", "best", "accuracy", "second"), KNOWN, ids=lambda v: str(v)
)
def test_run__known_answer(pattern, options, best, accuracy, second, tmp_path):
    genotypes = [str(path) for path in DATA.glob(pattern)]
    models = search(genotypes, tmp_path / "out", "--folds", "1", *options.split())
    assert get_variants(models[0]) == best
    assert float(models[0]["balanced_accuracy"]) == pytest.approx(accuracy, abs=1e-6)
    if second is not None:
        found = float(models[1]["balanced_accuracy"])
        assert found == pytest.approx(second, abs=1e-6)


def test_run__ties_go_to_the_lower_indices(tmp_path):
    bed = [str(DATA / "bitepi_plink_100snps_2000" / "bfile.bed")]
    models = search(bed, tmp_path / "out", "--folds", "1")
    assert [get_variants(m) for m in models[:2]] == [{"N17", "N88"}, {"N21", "N77"}]
    assert models[0]["balanced_accuracy"] == models[1]["balanced_accuracy"] == "0.55"


def test_run__cross_validation_of_scikit_mdr_data(tmp_path):
    genotypes = [str(p) for p in (DATA / "gametes_2way_20snps_1600").glob("*.tsv.gz")]
    model = search(genotypes, tmp_path / "out")[0]
    assert get_variants(model) == {"P1", "P2"}
    assert (model["cv_consistency"], model["is_best"]) == ("10", "1")


def test_run__table_and_bed_agree(tmp_path):
    folder = DATA / "bitepi_plink_100snps_2000"
    bed = search([str(folder / "bfile.bed")], tmp_path / "bed", "--folds", "1")
    text = search(
        [str(folder / "GAMETES_Example_Output.txt.gz")],
        tmp_path / "text",
        "--folds",
        "1",
    )
    chosen = ("variant_1", "balanced_accuracy", "n")
    for a, b in zip(bed[:20], text[:20], strict=True):
        assert a["balanced_accuracy"] == b["balanced_accuracy"]
        assert a["n"] == b["n"]
    assert [tuple(m[c] for c in chosen) for m in bed[:2]] == [
        (name, *rest) for name, *rest in (tuple(m[c] for c in chosen) for m in text[:2])
    ]


def test_run__bsc_files_are_read_as_one_cohort(tmp_path):
    folder = DATA / "bsc_spark_1128"
    genotypes = sorted(str(p) for p in (folder / "samples").glob("*.gz"))
    models = search(
        genotypes,
        tmp_path / "out",
        "--labels",
        str(folder / "labels.sample"),
        "--folds",
        "5",
        "--max-missing",
        "1",
    )
    assert models[0]["variant_1"].startswith("chr0-$-")
    assert all(int(model["n"]) <= 1128 for model in models)


def test_run__impute_with_labels_of_a_table_without_header(tmp_path):
    folder = DATA / "genepi_impute_gen_364"
    options = ["--labels", str(folder / "sample.csv"), "--label-column", "3"]
    models = search([str(folder / "sample.gen.gz")], tmp_path / "out", *options)
    assert models[0]["chromosome_1"] == "19"
