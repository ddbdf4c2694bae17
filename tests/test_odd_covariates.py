"""Covariates that are no use to a null model: said in one line, not taken."""

import warnings

import numpy as np
import pytest

import mdr_epistasis as mdr
from hpc_connector.errors import BadInput
from hpc_connector.learner.gmdr.null_model import KINDS, fit_null_model
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.traits import read_covariates, read_people
from mdr_epistasis.report.trait import _list_coefficients

IDS = tuple(f"p{k}" for k in range(8))
FILE = SampleFile("x.vcf", "vcf", len(IDS), IDS)


def read(folder, words, name="age"):
    """Return covariates of a table of one column, and what was assumed."""
    path = folder / "t.tsv"
    rows = zip(("id", *IDS), (name, *words), strict=True)
    path.write_text("".join(f"{i}\t{word}\n" for i, word in rows))
    return read_covariates(read_people(str(path), FILE), ())


def test_read_covariates__that_a_table_lacks(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("".join(f"{i}\n" for i in ("id", *IDS)))
    with pytest.raises(BadInput, match="has no covariate: expected columns beside id"):
        read_covariates(read_people(str(path), FILE), ())


@pytest.mark.parametrize("odd", ["inf", "-Infinity", "1e400"])
def test_read_covariates__of_which_one_has_no_end(tmp_path, odd):
    with pytest.raises(BadInput, match=f"covariate age is '{odd}': expected a finite"):
        read(tmp_path, [odd, *"1212121"])


def test_read_covariates__says_that_numbers_are_texts(tmp_path):
    found, assumed = read(tmp_path, ["5o", "NA", *"505050"])
    assert found[0].texts[:3] == ("5o", "", "5")
    assert "age as 3 texts is assumed, for '5o' is no number" in str(assumed[0])
    assert read(tmp_path, "12121212")[1] == read(tmp_path, "abababab")[1] == []


def test_search__of_a_covariate_without_an_end():
    genotypes = np.random.default_rng(1).integers(0, 3, (4, 60))
    age = np.arange(60.0) % 7
    age[3] = np.inf
    with pytest.raises(BadInput, match="covariate age is 'inf': expected a finite"):
        mdr.search(genotypes, np.arange(60) % 2, covariates={"age": age})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e200, 1e-200, 5e-324])
def test_fit_null_model__of_values_that_cannot_be_squared(kind, size):
    trait = np.arange(40.0) % 2
    column = size * (np.arange(40) % 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadInput, match=r"covariate dose runs from 0 to .*expected"):
            fit_null_model(trait, column[:, None], ["dose"], kind)


def test_fit_null_model__of_a_trait_that_cannot_be_squared():
    trait, age = 1e200 * np.arange(40.0), np.arange(40.0) % 7
    with pytest.raises(BadInput, match=r"the trait runs from 0 to 3.9e\+201; expected"):
        fit_null_model(trait, age[:, None], ["age"], "quantitative")


def test_list_coefficients__beyond_what_has_an_exponential():
    known = {"coefficient": 900.0, "standard_error": 1.0}
    model = {"intercept": known, "dose": known}
    found = list(_list_coefficients(model, is_ratio=True))
    assert [one.ratio for one in found] == ["", "inf (inf to inf)"]
