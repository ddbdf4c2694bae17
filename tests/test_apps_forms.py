"""The options of apps as JSON Schema, and apps as tools of CWL that run."""

import json
import subprocess
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.apps.app import list_words
from hpc_connector.apps.cwl import make_tool, render
from hpc_connector.apps.schema import make_schema
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.options import make_options
from programs import PATIENCE_S
from test_apps import APPS, FOLDERS, KINDS, names

NEEDED = {
    "mdr-epistasis": {"genotypes": ["a.bed"], "out": "o"},
    "metabolite-annotation": {"dataset": "a", "database": ["b"], "out": "o"},
}
SCHEMAS = {name: make_schema(app) for name, app in APPS.items()}
VALIDATORS = {n: jsonschema.Draft202012Validator(s) for n, s in SCHEMAS.items()}
NUMBERS = st.one_of(
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-3, 30).map(float),
)
SCALARS = st.one_of(
    NUMBERS,
    st.booleans(),
    st.text(max_size=8),
    st.sampled_from(["1", "0.5", "", "s3://b/k"]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=4))


def list_good(prop):
    """Return a strategy of values that a property of a schema is made for."""
    if prop["type"] == "array":
        items = list_good(prop["items"])
        return st.lists(
            items, min_size=prop.get("minItems", 0), max_size=prop.get("maxItems", 3)
        )
    if "enum" in prop:
        return st.sampled_from(prop["enum"])
    if "pattern" in prop:
        text = st.from_regex(prop["pattern"])
        return text.filter(lambda value: "\0" not in value)
    low, high = prop.get("minimum"), prop.get("maximum")
    above = prop.get("exclusiveMinimum")
    return {
        "integer": st.integers(low, high),
        "number": st.floats(
            low if above is None else above,
            high,
            exclude_min=above is not None,
            allow_nan=False,
            allow_infinity=False,
        ),
        "boolean": st.booleans(),
        "string": st.text(max_size=12),
    }[prop["type"]]


def takes(name, values):
    """Return whether a program takes the values of options."""
    try:
        make_options(KINDS[name], values)
    except BadInput:
        return False
    return True


def draw_key(data, name, types=None):
    """Return the name of an option, of some types."""
    told = SCHEMAS[name]["properties"]
    keys = [k for k, prop in told.items() if types is None or prop["type"] in types]
    return data.draw(st.sampled_from(keys))


@names
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_schema__and_program_accept_what_options_are_made_for(name, data):
    told = SCHEMAS[name]["properties"]
    given = {key: data.draw(list_good(prop), label=key) for key, prop in told.items()}
    VALIDATORS[name].validate(given)
    assert takes(name, given)


@names
@settings(max_examples=300, deadline=None)
@given(data=st.data(), value=VALUES)
def test_schema__refuses_what_the_program_refuses(name, data, value):
    given = NEEDED[name] | {draw_key(data, name): value}
    assert takes(name, given) or not VALIDATORS[name].is_valid(given)


ODD = [
    *("", " ", "0", "0s", "00.0h", "-1", "2 h", "1e999", "nan", "s3://bucket/key"),
    *(
        "S3://b/k",
        "ftp://host/x",
        "s3:/b",
        "file://host/x",
        "http://h?X-Amz-Signature=1",
    ),
    *("@200", "140000@", "0@0", "50,", "0,5", "1,2,3", "1,2,3,4,5,6,7", "csv,docx"),
    *(0, 1, -1, 0.0, 0.5, 1.5, 2.0, 5e-324, 10**18, True, None, {}, [], [[]], [""]),
    *([1], ["50", "5"], ["50", "5", "0.2", "1"], ["s3://b/k"], ["ftp://h/x"], ["csv"]),
]


@names
def test_schema__refuses_what_the_program_refuses_of_odd_values(name):
    for key, prop in SCHEMAS[name]["properties"].items():
        is_valid = jsonschema.Draft202012Validator(prop).is_valid
        for value in filter(is_valid, ODD):
            assert takes(name, NEEDED[name] | {key: value}), (key, value)


@names
@settings(max_examples=300, deadline=None)
@given(data=st.data(), value=st.one_of(NUMBERS, st.booleans()))
def test_schema__of_a_number_is_what_the_program_takes(name, data, value):
    key = draw_key(data, name, ("integer", "number", "boolean"))
    given = NEEDED[name] | {key: value}
    assert VALIDATORS[name].is_valid(given) == takes(name, given)


@names
def test_schema__is_one_and_has_the_defaults(name):
    schema = SCHEMAS[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    defaults = {
        k: p["default"] for k, p in schema["properties"].items() if "default" in p
    }
    VALIDATORS[name].validate(NEEDED[name] | defaults)
    assert (
        make_options(KINDS[name], NEEDED[name] | defaults).words
        == make_options(KINDS[name], NEEDED[name]).words
    )
    assert all(p["description"] for p in schema["properties"].values())


@names
@pytest.mark.parametrize("key", ["no_option", "config", "words"])
def test_schema__refuses_other_names(name, key):
    assert not VALIDATORS[name].is_valid(NEEDED[name] | {key: "x"})
    for needed in NEEDED[name]:
        less = {k: v for k, v in NEEDED[name].items() if k != needed}
        assert not VALIDATORS[name].is_valid(less)
        assert not takes(name, less)


@names
def test_schema__accepts_the_example(name):
    VALIDATORS[name].validate(NEEDED[name] | dict(APPS[name].example.options))


def test_show__prints_the_schema(capsys):
    assert main(["apps", "show", "mdr-epistasis", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMAS["mdr-epistasis"]


# CWL


def run_cwltool(*words, **options):
    """Return what cwltool did, which writes no colours and asks no network."""
    return subprocess.run(
        ["cwltool", "--disable-color", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        **options,
    )


@names
def test_cwl__is_valid(name, tmp_path, capsys):
    assert main(["apps", "show", name, "--cwl"]) == 0
    (tmp_path / "tool.cwl").write_text(capsys.readouterr().out)
    done = run_cwltool("--validate", tmp_path / "tool.cwl")
    assert done.returncode == 0, done.stderr
    assert "tool.cwl is valid CWL" in done.stdout + done.stderr
    assert "WARN" not in done.stderr


def make_job(app, folder):
    """Return the parameters of the example for cwltool, its files in a folder."""
    job = {}
    for key, value in app.example.options.items():
        if app.options[key].site:
            continue
        if key in app.inputs:
            files = [
                {"class": "File", "path": f"{folder / file}"}
                for file in (value if isinstance(value, list) else [value])
            ]
            value = files if app.options[key].many else files[0]
        job[key] = value
    return job


@names
def test_cwl__runs_and_leaves_the_same_bytes(name, tmp_path):
    app, here = APPS[name], tmp_path / "here"
    here.mkdir()
    for file in (FOLDERS[name] / "example").glob("*"):
        (here / file.name).write_bytes(file.read_bytes())
    plain = list_words(app, {**app.example.options, "out": "plain"})
    for words in (*app.example.prepare, plain):
        subprocess.run(words, cwd=here, check=True, capture_output=True)
    (tmp_path / "tool.cwl").write_text(render(make_tool(app)))
    (tmp_path / "job.json").write_text(json.dumps(make_job(app, here)))
    words = ["--outdir", tmp_path / "out", "--preserve-entire-environment"]
    done = run_cwltool(*words, tmp_path / "tool.cwl", tmp_path / "job.json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    expected = app.example.outputs or [n for n, o in app.outputs.items() if not o.when]
    assert {key for key, value in told.items() if value} == set(expected)
    for one in app.outputs.values():
        for file in (here / "plain").glob(f"{one.path}/*" if one.folder else one.path):
            if one.same:
                other = tmp_path / "out" / file.relative_to(here / "plain")
                assert other.read_bytes() == file.read_bytes()


def test_cwl__has_what_stands_beside_and_the_image():
    app = APPS["metabolite-annotation"]
    tool = make_tool(replace(app, image="registry.example.org/annotation:1.2"))
    beside = tool["inputs"]["dataset"]["secondaryFiles"]
    assert beside == [{"pattern": "^.ibd", "required": True}]
    image = {"dockerPull": "registry.example.org/annotation:1.2"}
    assert tool["requirements"]["DockerRequirement"] == image
    tool = make_tool(APPS["mdr-epistasis"])
    assert "DockerRequirement" not in tool["requirements"]
    beside = {b["pattern"] for b in tool["inputs"]["genotypes"]["secondaryFiles"]}
    assert {"^.bim", "^.fam", ".tbi"} <= beside


def test_cwl__of_a_switch_that_takes_away_has_the_name_of_its_flag():
    told = make_tool(APPS["metabolite-annotation"])["inputs"]
    assert "check" not in told
    assert told["no_check"]["inputBinding"]["prefix"] == "--no-check"
    assert told["no_check"]["default"] is False
