"""A share of fuzz_confidential.py; all of it runs by command."""

from fuzz_confidential import count_faults, fuzz


def test_readers__of_changed_headers_seals_keys_and_evidence(capsys):
    seen = fuzz(0, 3000)
    assert count_faults(seen) == 0, capsys.readouterr().out
    outcomes = {what for _, what in seen}
    assert outcomes == {"read", "bad input"}  # some changes change nothing
