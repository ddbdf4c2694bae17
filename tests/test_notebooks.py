"""The notebooks of examples/, executed as they are stored: without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from programs import PATIENCE_S

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {  # in a table or a line of what a notebook shows
    "annotation": "C42H76NO8P",
    "epistasis": "rs2218065",
}


def read(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def test_notebooks__are_those_that_run():
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_notebook__is_stored_without_outputs(name):
    for cell in read(name).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("name", SAYS)
def test_notebook__shows_what_it_says(name, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error::UserWarning")
    notebook = read(name)
    place = {"metadata": {"path": str(EXAMPLES)}}
    NotebookClient(
        notebook,
        timeout=PATIENCE_S,
        startup_timeout=PATIENCE_S,
        iopub_timeout=PATIENCE_S,
        resources=place,
    ).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert [out.name for out in shown if out.output_type == "stream"] == []
    data = [out.data for out in shown if "data" in out]
    assert [d for d in data if "image/png" in d]
    assert any(SAYS[name] in d.get("text/html", "") for d in data)
