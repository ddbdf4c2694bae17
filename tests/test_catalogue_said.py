"""What the commands of a catalogue say, and what an import of an export leaves."""

import pytest

from hpc_connector.commands.main import main

pytest.importorskip("pyshacl")


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """Return a function that runs a command of a catalogue with a table in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("id,x\na,1\n")

    def call(*words):
        return main(["catalog", *words, "--catalog", "catalog.sqlite"])

    words = ["--title", "Table", "--description", "Of one row", "--publisher", "Lab"]
    assert call("add", "table.csv", "--id", "table", *words) == 0
    return call


def test_import__of_an_own_export_changes_nothing(catalog, capsys):
    for to in ("role:visitors", "mail@example.org"):
        assert catalog("grant", "table", "--to", to, "--until", "2099-01-31") == 0
    assert catalog("export", "--dcat", "catalog.ttl", "--publisher", "Lab") == 0
    assert catalog("revoke", "table", "--to", "role:visitors") == 0
    capsys.readouterr()
    assert catalog("import", "catalog.ttl") == 0
    assert capsys.readouterr().out.endswith(" 0 of them new or changed\n")
    assert catalog("who", "table") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "table@1: restricted"
    assert [line.rpartition(", ")[2] for line in said[1:]] == [
        "no more",
        "until 2099-01-31",
    ]


def test_import__of_changed_words_keeps_grants(catalog, tmp_path, capsys):
    catalog("grant", "table", "--to", "mail@example.org", "--until", "2099-01-31")
    catalog("export", "--dcat", "catalog.ttl", "--publisher", "Lab")
    text = (tmp_path / "catalog.ttl").read_text()
    (tmp_path / "catalog.ttl").write_text(text.replace("Of one row", "Of few rows"))
    assert catalog("import", "catalog.ttl") == 0
    capsys.readouterr()
    catalog("who", "table")
    said = capsys.readouterr().out
    assert said.startswith("table@2: restricted\ngrant to mail@example.org, until ")


def test_who__says_that_nobody_is_asked(catalog, capsys):
    capsys.readouterr()
    assert catalog("who", "table") == 0
    said = "table@1: restricted; no role or grant is asked for, nor a login\n"
    assert capsys.readouterr().out == said


def test_verify__counts_one_as_one(catalog, tmp_path, capsys):
    capsys.readouterr()
    assert catalog("verify") == 0
    assert capsys.readouterr().out == "1 data set, 1 object: all as they were\n"
    (tmp_path / "table.csv").write_text("id,x\n")
    assert catalog("verify") == 2
    assert capsys.readouterr().out.endswith("\n1 data set, 1 object: 1 fault\n")


def test_index__says_what_is_cut(catalog, tmp_path, capsys):
    (tmp_path / "note.xyz").write_text("x")
    catalog("add", "note.xyz", "--id", "note", "--title", "Note")
    assert catalog("index", "note") == 2
    assert "hpc-connector slices index takes" in capsys.readouterr().err
