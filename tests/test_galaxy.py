"""The wrappers for Galaxy: its lint, and the command that each makes of its test."""

import gzip
import os
import subprocess
import warnings
from itertools import islice
from pathlib import Path

import jsonschema
import pytest

from hpc_connector.apps.read import read_app
from hpc_connector.apps.schema import make_schema
from programs import PATIENCE_S

with warnings.catch_warnings():  # Cheetah, Galaxy's templates, imports the old cgi
    warnings.simplefilter("ignore", DeprecationWarning)
    from Cheetah.Template import Template
    from galaxy.tool_util.lint import LintLevel, lint_tool_source
    from galaxy.tool_util.parser import get_tool_source

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests/data"
WRAPPERS = sorted((ROOT / "workflow/galaxy").glob("*.xml"))
OUTPUTS = {"mdr_epistasis": "models.tsv", "metabolite_annotation": "annotations.tsv"}


class File(str):
    """A dataset as Galaxy gives it to a template."""

    ext = "vcf_bgzip"
    extra_files_path = "spheroid"


@pytest.fixture
def datasets(tmp_path):
    """Return the inputs of both tools, in a folder as Galaxy lays them out."""
    cohort = DATA / "hipster_1000genomes_vcf"
    (tmp_path / "spheroid").mkdir()
    for end in ("imzML", "ibd"):
        place = tmp_path / "spheroid" / end.lower()
        place.symlink_to(DATA / f"imzml/Untreated_3_434_tiny.{end}")
    packed = DATA / "databases/lipidmaps_2017-12-12-v2.tsv.gz"
    with gzip.open(packed) as stream:
        (tmp_path / "lipids").write_bytes(b"".join(islice(stream, 400)))
    return {
        "genotypes": File(cohort / "Hipster.vcf.bgz"),
        "labels": File(cohort / "Hipster.tsv"),
        "dataset": File("spheroid"),
        "databases": [File("lipids")],
    }


def read_tool(path):
    """Return a wrapper, its command, and the values of its parameters in its test."""
    tool = get_tool_source(str(path))
    values = {}
    for param in tool.root.iterfind("inputs/param"):
        name = param.get("name") or param.get("argument").lstrip("-").replace("-", "_")
        chosen = param.find("option[@selected]")
        values[name] = param.get("value") if chosen is None else chosen.get("value")
    for param in tool.root.iterfind("tests/test/param"):
        values[param.get("name")] = param.get("value")
    return tool, tool.parse_command(), values


def render(command, values):
    """Return the line of a command, as Galaxy fills its template."""
    return " ".join(str(Template(source=command, searchList=[values])).split())


@pytest.mark.parametrize("path", WRAPPERS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # within docutils
def test_wrapper__has_nothing_for_lint(path):
    tool = get_tool_source(str(path))
    skipped = ["EDAMTermsValid"]  # it names no terms, and their list is a package
    assert lint_tool_source(tool, fail_level=LintLevel.WARN, skip_types=skipped)


@pytest.mark.parametrize("path", WRAPPERS, ids=lambda path: path.stem)
def test_wrapper__makes_a_command_that_runs(path, datasets, tmp_path):
    tool, command, values = read_tool(path)
    line = render(command, values | datasets)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        env=os.environ | {"GALAXY_SLOTS": "2"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, line + done.stderr
    written = [data.get("from_work_dir") for data in tool.root.iterfind("outputs/data")]
    assert f"results/{OUTPUTS[path.stem]}" in written
    assert all((tmp_path / name).stat().st_size for name in written)


def test_wrappers__say_the_version_of_the_suite():
    for path in WRAPPERS:
        tool = get_tool_source(str(path))
        required = tool.root.find("requirements/requirement").get("version")
        said = (ROOT / "setup.cfg").read_text().split("version = ")[1].split()[0]
        assert (tool.parse_version(), required) == (f"{said}+galaxy0", said)


@pytest.mark.parametrize("path", WRAPPERS, ids=lambda path: path.stem)
def test_wrapper__has_options_of_the_app_and_values_that_it_takes(path):
    app = read_app(ROOT / "apps" / path.stem)
    told = make_schema(app)["properties"]
    by_flag = {one.flag: name for name, one in app.options.items()}
    for param in get_tool_source(str(path)).root.iterfind("inputs//param[@argument]"):
        prop = told[by_flag[param.get("argument")]]
        values = [option.get("value") for option in param.iterfind("option")]
        values += [param.get(key) for key in ("value", "min", "max")]
        if param.get("type") != "boolean":  # which has words instead of a value
            jsonschema.validate(
                [read_like(prop, value) for value in values if value],
                {"type": "array", "items": prop},
            )


def read_like(prop, value):
    """Return the value of a parameter in the type that a schema has for it."""
    kind = prop["type"]
    return {"integer": int, "number": float, "array": str.split}.get(kind, str)(value)
