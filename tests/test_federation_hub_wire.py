"""The hub and its sites, by searches in small: sums of masked blocks over HTTPS."""

import pytest

from federation_hubs import NAMES, Trial, check, make_parties


@pytest.mark.parametrize("scorer", ["hub", "sites"])
def test_hub__gives_the_sums_of_the_sites(tmp_path, scorer):
    trial = Trial(make_parties(tmp_path, scorer=scorer))
    ends = trial.run("hub", *NAMES).join()
    for told in ends.values():
        check(told)
    assert [event for event, *_ in trial.log] == ["join"] * 3 + ["end"]
