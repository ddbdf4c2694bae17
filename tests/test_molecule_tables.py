"""Databases of molecules as R, pandas, Excel, METASPACE and people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.formulas import read_formula
from hpc_connector.loader.spectra.molecules import read_database

LINE_SEPARATOR, NEXT_LINE = "\N{LINE SEPARATOR}", "\x85"
HEADER = "id\tname\tformula\n"
TWO = (("a", "acid", "CH4"), ("b", "base", "NH3"))


def read(folder, text, *, name="db.tsv", encoding="utf-8", **options):
    (folder / name).write_bytes(text.encode(encoding))
    return read_database(str(folder / name), read_formula, **options)


def get_rows(database):
    return tuple(zip(database.id, database.name, database.formula, strict=True))


SPELLINGS = {
    "plain": HEADER + "a\tacid\tCH4\nb\tbase\tNH3\n",
    "no last end": HEADER + "a\tacid\tCH4\nb\tbase\tNH3",
    "windows": HEADER.replace("\n", "\r\n") + "a\tacid\tCH4\r\nb\tbase\tNH3\r\n",
    "old mac": HEADER.replace("\n", "\r") + "a\tacid\tCH4\rb\tbase\tNH3\r",
    "blank lines": "\n" + HEADER + "\na\tacid\tCH4\n \t \t\nb\tbase\tNH3\n\n\n",
    "commas": "id,name,formula\na,acid,CH4\nb,base,NH3\n",
    "semicolons": "id;name;formula\na;acid;CH4\nb;base;NH3\n",
    "excel": "sep=;\nid;name;formula\na;acid;CH4\nb;base;NH3\n;;\n",
    "spaces after commas": 'id, name, formula\na, "acid", CH4\nb, base, NH3\n',
    "write.table": '"id"\t"name"\t"formula"\n"a"\t"acid"\t"CH4"\n"b"\t"base"\t"NH3"\n',
    "write.table with row names": (
        '"id"\t"name"\t"formula"\n"1"\t"a"\t"acid"\t"CH4"\n"2"\t"b"\t"base"\t"NH3"\n'
    ),
    "write.table's spaces": (
        '"id" "name" "formula"\n"1" "a" "acid" "CH4"\n"2" "b" "base" "NH3"\n'
    ),
    "spaces": "id name formula\na acid CH4\nb base NH3\n",
    "row names of commas": "id,name,formula\n1,a,acid,CH4\n2,b,base,NH3\n",
    "rows without their last": (
        "id\tname\tformula\tinchi\na\tacid\tCH4\nb\tbase\tNH3\tInChI=1\n"
    ),
    "write.csv": '"","id","name","formula"\n"1","a","acid","CH4"\n"2","b","base","NH3"',
    "to_csv with its index": ",id,name,formula\n0,a,acid,CH4\n1,b,base,NH3\n",
    "a delimiter at the end": HEADER + "a\tacid\tCH4\t\nb\tbase\tNH3\t\n",
    "other case and spaces": " ID \tName\t FORMULA\na\tacid\tCH4\nb\tbase\tNH3\n",
    "comments": "# of 2026\n#id\tname\tformula\n# two\na\tacid\tCH4\nb\tbase\tNH3\n",
    "of metaspace": (
        "id\tname\tformula\tinchi\tinchikey\na\tacid\tCH4\t\t\nb\tbase\tNH3\tInChI=1\tX\n"
    ),
    "another order": "formula\tx\tid\tname\nCH4\t1\ta\tacid\nNH3\t2\tb\tbase\n",
    "spaces in fields": HEADER + " a \tacid \t CH4\nb\tbase\tNH3\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_read_database__however_it_is_written(tmp_path, spelling):
    assert get_rows(read(tmp_path, SPELLINGS[spelling])) == TWO


def test_read_database__says_which_encoding_it_assumed(tmp_path):
    text = HEADER + "a\tac\u00e9tate\tCH4\n"
    database = read(tmp_path, text, encoding="cp1252")
    assert database.name == ("ac\u00e9tate",)
    ((what, taken, *_),) = database.assumed
    assert (what.startswith("the encoding of"), taken) == (True, "Windows-1252")
    assert read(tmp_path, text, encoding="utf-16").assumed == ()


def test_read_database__with_a_byte_order_mark(tmp_path):
    assert get_rows(read(tmp_path, SPELLINGS["plain"], encoding="utf-8-sig")) == TWO


NAMES = {
    "a\tb": '"a\tb"',
    '5"-molecule 1': '"5""-molecule 1"',
    'an "odd name': 'an "odd name',
    '"new" acid': '"new" acid',  # not enclosed: the quotes are of the name
    '"half': '"half',
    "one\ntwo": '"one\ntwo"',
    f"a{LINE_SEPARATOR}b": f"a{LINE_SEPARATOR}b",
    f"a{NEXT_LINE}b": f"a{NEXT_LINE}b",
    "a\vb\fc\x1cd": "a\vb\fc\x1cd",
    "#1 (R)-acid": "#1 (R)-acid",
    "2,3-dione; cis": "2,3-dione; cis",
}


@pytest.mark.parametrize("name", NAMES)
def test_read_database__odd_names(tmp_path, name):
    text = f"{HEADER}a\t{NAMES[name]}\tCH4\nb\tbase\tNH3\n"
    assert get_rows(read(tmp_path, text)) == (("a", name, "CH4"), TWO[1])


def test_read_database__commas_and_lines_in_quotes(tmp_path):
    text = 'id,name,formula\na,"1,2-di\nol, x",CH4\nb,"say ""b""",NH3\nc,c,XX\n'
    with pytest.raises(BadInput, match="1 bad rows of 3: line 5: formula 'XX'"):
        read(tmp_path, text)
    found = read(tmp_path, text, skip_bad_rows=True)
    assert found.name == ("1,2-di\nol, x", 'say "b"')


def test_read_database__quotes_do_not_join_rows_of_their_own(tmp_path):
    text = HEADER + 'a\t"acid\tCH4\nb\tbase"\tNH3\n'
    assert read(tmp_path, text).name == ('"acid', 'base"')


def test_read_database__counts_rows_given_twice(tmp_path):
    text = SPELLINGS["plain"] + "b\tbase\tNH3\na\tacid\tCH4\nb\tother\tNH3\n"
    database = read(tmp_path, text)
    assert get_rows(database) == (*TWO, ("b", "other", "NH3"))
    assert database.counted == {"rows of db.tsv given twice were taken once": 2}


def test_read_database__keeps_the_order_of_formulas(tmp_path):
    text = "formula\tid\tname\nC2\ta\tA\nC\tb\tB\nC2\tc\tC\n"
    assert read(tmp_path, text).get_formulas() == ["C2", "C"]


BAD = HEADER + "a\tA\tC2\n\nb\t\tC\nc\tC\tC.H\nd\tD\txyz\ne\tE\nf\tF\tC0H4\n"


def test_read_database__tells_all_bad_rows_at_once(tmp_path):
    with pytest.raises(BadInput) as error:
        read(tmp_path, BAD)
    said = str(error.value)
    assert "5 bad rows of 6" in said
    for part in ("line 4: name is empty", "line 5: formula 'C.H'", "line 7: 2 fields"):
        assert part in said
    assert "--skip-bad-rows" in said


def test_read_database__leaves_bad_rows_out_and_counts_them(tmp_path):
    database = read(tmp_path, BAD, skip_bad_rows=True)
    assert get_rows(database) == (("a", "A", "C2"),)
    ((phrase, n),) = database.counted.items()
    assert n == 5
    assert phrase.startswith("bad rows of db.tsv were left out (the first: line 4")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'id'"),
        ("\n\n", "no column 'id'"),
        ("id\tname\n", "no column 'formula'"),
        ("id,name,sf\n", r"'formula': expected id, .* found \['id', 'name', 'sf'\]"),
        ("id,name,formula\na,1,2-diol,CH4\n", "4 fields, expected 3"),
        (HEADER, "expected a molecule a line"),
        ("a\tacid\tCH4\n" + HEADER, "no column 'id': expected"),
        ("id\tname\tformula\tFormula\n", "two columns 'formula'"),
        (HEADER + "a\tA\tNaN\n", "line 2"),
    ],
)
@pytest.mark.parametrize("skip_bad_rows", [False, True])
def test_read_database__refuses(tmp_path, text, said, skip_bad_rows):
    with pytest.raises(BadInput, match=said):
        read(tmp_path, text, skip_bad_rows=skip_bad_rows)


@given(st.text('ab"\t,;\n\r #CH4', max_size=60))
def test_read_database__survives_anything(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("any")
    said, rows = "", ()
    try:
        rows = get_rows(read(folder, HEADER + text))
    except BadInput as error:
        said = str(error)
    assert ("db.tsv" in said) != bool(rows)
