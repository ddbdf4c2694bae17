"""What was assumed and counted: in the log, the manifest and the page."""

from hpc_connector.notes import Assumption, add_counts, list_notes, make_notes

POLARITY = Assumption("polarity", "positive", "x.imzML names none", "--polarity")


def test_make_notes__assumed_twice_stands_once():
    notes = make_notes([POLARITY, POLARITY], add_counts([{"b": 2}, {"a": 0, "b": 3}]))
    assert notes["assumed"] == [POLARITY._asdict()]
    assert notes["counted"] == {"b": 5}
    assert list_notes(notes) == [
        "Polarity positive is assumed, for x.imzML names none (--polarity says "
        "otherwise).",
        "B: 5.",
    ]


def test_list_notes__of_a_record_that_people_have_edited():
    record = {"assumed": [3, {"what": "ploidy"}], "counted": ["x"]}
    assert list_notes(record) == ["Ploidy  is assumed, for ."]
    assert list_notes({}) == []
