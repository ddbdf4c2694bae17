"""What a page says of the sites of a search, to who answers for their data."""

import pytest

from hpc_connector.federation.release import describe_sent, list_rules
from hpc_connector.federation.study import Release
from mdr_epistasis.report.sites import say_scorer


def test_describe_sent__counts_blocks():
    sent = {"stage 1 bytes": 1040, "stage 1 blocks": 1}
    assert "masked, 1,040 bytes in 1 block: " in describe_sent(sent, None, "north")[0]
    sent = {"stage 2 bytes": 9_296_640, "stage 2 blocks": 5}
    assert "masked, 9,296,640 bytes in 5 blocks: " in describe_sent(sent, None, "")[0]


def test_describe_sent__says_what_folds_are_of():
    some = {"stage 1 bytes": 8, "stage 1 blocks": 1}
    folds = {"stage 2 bytes": 8, "stage 2 blocks": 1}
    last = describe_sent(some | folds, None, "north")[-1]
    assert last.endswith(
        "the same in each fold, of the pairs that may be among the best"
    )
    (line,) = describe_sent(folds, None, "north")
    assert line.endswith("cases and controls have which genotypes, in each fold")


def test_list_rules__say_what_is_let_out_of_models_and_of_variants():
    rules = list(list_rules(Release(least_total=1000), 10))
    assert any("of each of those" in rule and "each fold" in rule for rule in rules)
    assert any("each variant" in rule and "frequency" in rule for rule in rules)
    assert any(rule.endswith("1,000 or more in all") for rule in rules)


@pytest.mark.parametrize(
    ("most", "said"), [(1, "one search of "), (3, "3 searches of ")]
)
def test_list_rules__count_searches(most, said):
    rules = list_rules(Release(most_queries=most), 1000)
    assert [rule for rule in rules if rule.startswith(said)]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"scorer": "hub", "transport": "MPI, a rank a site"}, "north, which scores, "),
        ({"scorer": "hub"}, "who scores sees"),
        ({"scorer": "sites", "transport": "MPI, a rank a site"}, "all sites see"),
        ({"scorer": "hub", "transport": "HTTPS, a hub"}, "the hub, which scores, sees"),
        ({"scorer": "sites", "transport": "HTTPS, a hub"}, "the hub and all sites see"),
    ],
)
def test_say_scorer__names_who_sees_sums(part, said):
    assert say_scorer(part, [{"name": "north"}, {"name": "south"}]).startswith(said)
