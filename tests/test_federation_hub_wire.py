"""The hub and its sites, by toy searches: sums of masked blocks over HTTPS."""

import pytest

from federation_hubs import NAMES, Trial, check, make_parties


@pytest.mark.parametrize("scorer", ["hub", "sites"])
def test_hub__gives_the_sums_of_the_sites(tmp_path, scorer):
    study = make_parties(tmp_path, scorer=scorer)
    trial = Trial(tmp_path, study).run_hub()
    for name in NAMES:
        trial.run_site(name)
    ends = trial.join()
    for told in ends.values():
        check(told)
