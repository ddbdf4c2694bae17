"""What a database holds, by ``databases list`` and ``check``."""

import json

import pytest

from hpc_connector.learner.annotation.formulas import parse_formula
from hpc_connector.learner.annotation.modifiers import parse_modifier
from metabolite_annotation.databases.contents import count_ions, read_contents
from metabolite_annotation.program import main

ROWS = [
    "id\tname\tformula",
    "1\tglucose\tC6H12O6",
    "2\tfructose\tC6H12O6",
    "2\tfructose\tC6H12O6",
    "3\tan ion\tC5H14NO+",
    "4\t\tCH4",
    "5\ttetrachloromethane\tCCl4",
]


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.tsv"
    path.write_text("\n".join(ROWS[:4] + ROWS[6:]) + "\n")
    return path


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.tsv"
    path.write_text("\n".join(ROWS) + "\n")
    return path


def test_list__counts_each_file_on_a_line(good, bad, capsys):
    assert main(["databases", "list", str(good), str(bad)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["file", "rows", "molecules", "formulas", "bad", "rows"]
    assert lines[1:] == [
        [str(good), "4", "3", "2", "0"],
        [str(bad), "6", "3", "2", "2"],
    ]


def test_list__as_json(good, capsys):
    assert main(["databases", "list", str(good), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    counts = {"rows": 4, "molecules": 3, "formulas": 2, "bad_rows": 0}
    assert found == {"file": str(good), **counts}


def test_check__counts_the_formulas_of_each_adduct(good, capsys):
    assert main(["databases", "check", str(good), "--adducts", "+H,-H"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines() == [
        f"{good}: 4 rows, 3 molecules, 2 formulas, 0 bad rows",
        "+H: 2 of 2 formulas make an ion",
        "-H: 1 of 2 formulas make an ion",
    ]


def test_check__takes_an_adduct_that_begins_with_a_minus(good, capsys):
    assert main(["databases", "check", str(good), "--adducts", "-H"]) == 0
    assert "-H: 1 of 2" in capsys.readouterr().out


def test_check__lists_all_bad_rows_and_fails(bad, capsys):
    assert main(["databases", "check", str(bad)]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[-2:] == [
        "line 5: formula 'C5H14NO+': '+' at character 8: expected a neutral molecule, "
        "without its charge",
        "line 6: name is empty",
    ]
    assert said.err.count("\n") == 1
    assert f"{bad} has 2 bad rows of 6: a run leaves them out" in said.err


def test_check__as_json(bad, capsys):
    assert main(["databases", "check", str(bad), "--json", "--adducts", "+H"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["formulas_with_ion"] == {"+H": 2}
    assert [fault["line"] for fault in found["faults"]] == [5, 6]


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("id\tname\n1\t2\n", [], "no column 'formula'"),
        ("id\tname\tformula\n", [], "holds no molecule"),
        ("\n".join(ROWS[:2]), ["--adducts", "+Qq"], "--adducts"),
        ("\n".join(ROWS[:2]), ["--adducts", ","], "expected one or more"),
    ],
)
def test_check__refuses_in_one_line(text, words, said, tmp_path, capsys):
    path = tmp_path / "x.tsv"
    path.write_text(text)
    assert main(["databases", "check", str(path), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def count_naively(formulas, adduct):
    """Return how many formulas have what an adduct takes, and something left."""
    n = 0
    for formula in formulas:
        counts = parse_formula(formula)
        for step in parse_modifier(adduct):
            for element, k in step.items():
                counts[element] = counts.get(element, 0) + k
        n += min(counts.values()) >= 0 and max(counts.values()) > 0
    return n


def test_count_ions__agrees_with_naive():
    formulas = ["H2O", "CCl4", "CH4", "C6H12O6", "H", "C2H6O", "NaCl", "H2"]
    adducts = ["+H", "-H", "-H2O+H", "-H+2Na", "+Cl", "-C"]
    expected = {one: count_naively(formulas, one) for one in adducts[:-1]}
    assert count_ions(formulas, adducts[:-1]) == expected
    assert len(set(expected.values())) > 2


def test_read_contents__keeps_formulas_in_order(bad):
    found = read_contents(str(bad))
    assert found.formulas == ["C6H12O6", "CCl4"]
    assert [fault.line for fault in found.faults] == [5, 6]
