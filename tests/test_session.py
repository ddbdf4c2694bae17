"""The exit code of `main`, in the process of its caller, where a run cannot begin."""

import pytest

from hpc_connector.locks.folder_lock import release_folder, take_folder
from mdr_epistasis.program import main as search
from metabolite_annotation.program import main as annotate
from test_flow import COHORT, TISSUE

MAINS = {"mdr-epistasis": (search, COHORT), "metabolite-annotation": (annotate, TISSUE)}


@pytest.mark.parametrize("program", MAINS)
def test_main__where_another_run_works(program, tmp_path, capsys):
    main, words = MAINS[program]
    lock = take_folder(tmp_path / "out")
    assert main([*words.split(), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "works there" in said
    release_folder(tmp_path / "out", lock)


@pytest.mark.parametrize("program", MAINS)
@pytest.mark.parametrize("out", ["file", "file/below"])
def test_main__where_no_folder_can_be(program, out, tmp_path, capsys):
    main, words = MAINS[program]
    (tmp_path / "file").write_text("mine")
    assert main([*words.split(), "--out", str(tmp_path / out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{program}: ")
    assert said.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"
