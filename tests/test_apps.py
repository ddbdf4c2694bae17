"""Programs as apps: app.toml, its JSON, JSON Schema and CWL, and examples that run."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.apps.app import FILE
from hpc_connector.apps.cwl import make_tool
from hpc_connector.apps.generate import list_differences, load_rows, make_rows
from hpc_connector.apps.generate import render as render_rows
from hpc_connector.apps.installed import find_installed
from hpc_connector.apps.read import look_at, read_app
from hpc_connector.apps.schema import make_schema
from hpc_connector.catalogue.headers import BESIDE, GENOTYPES, INDEXED
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from mdr_epistasis import options as mdr
from metabolite_annotation import options as annotation
from metabolite_annotation.export.formats import EXPORTS
from programs import PATIENCE_S, wait_for

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "mdr-epistasis": ROOT / "apps/mdr_epistasis",
    "metabolite-annotation": ROOT / "apps/metabolite_annotation",
}
KINDS = {"mdr-epistasis": mdr.Options, "metabolite-annotation": annotation.Options}
ROLES = {"mdr-epistasis": mdr.ROLES, "metabolite-annotation": annotation.ROLES}
APPS = {name: read_app(folder) for name, folder in FOLDERS.items()}
names = pytest.mark.parametrize("name", APPS)
OTHER_FILES = {  # of files.md: they stay no longer than a run, or are of commands
    *("ledger", "running.json", "job.json", "telemetry", "actions.json"),
    *("acquired.partial", "tables.tsv"),
}


# What app.toml says is so


@names
def test_options__are_those_of_the_program(name):
    assert list_differences(FOLDERS[name]) == []
    told = tomllib.loads((FOLDERS[name] / FILE).read_text())["options"]
    assert list(told) == list(make_rows(KINDS[name]))


@names
def test_rows__are_the_same_when_they_are_read_again(name):
    rows = make_rows(KINDS[name])
    assert tomllib.loads(render_rows(rows)) == {"options": rows}


@names
def test_app__has_version_roles_and_command_of_the_program(name):
    app = APPS[name]
    assert (app.version, app.name) == (version("hpc_connector"), name)
    assert app.command == (name, "run")
    roles = {key: one.roles for key, one in app.inputs.items() if one.roles}
    assert roles == ROLES[name]
    setup = (ROOT / "setup.cfg").read_text()
    assert f"license = {app.licence}\n" in setup


def test_formats__are_those_that_a_catalogue_finds():
    formats = [
        one for app in APPS.values() for i in app.inputs.values() for one in i.formats
    ]
    ends = {end for one in formats for end in one.ends}
    assert ends >= set(GENOTYPES)
    for one in formats:
        for end in one.ends:
            assert set(one.companions) == set(BESIDE.get(end.lower(), one.companions))
            assert set(one.indexes) == set(INDEXED.get(end, ()))


@names
def test_outputs__are_those_of_the_reference(name):
    pages = (ROOT / "docs/reference/files.md").read_text().split("\n## ")
    (own,) = [page for page in pages if page.startswith(f"Of {name}\n")]
    (both,) = [page for page in pages if page.startswith("Of both programs\n")]
    rows = re.findall(
        r"^\| (`.*?) \|", f"{both}\n{own}".partition("file in `rec")[0], re.M
    )
    told = {n.strip("/") for row in rows for n in re.findall(r"`([^`]+)`", row)}
    told = {n.replace("FIRST_SECOND", "*").split("/")[0] for n in told} - OTHER_FILES
    stem = "annotated_peaks"
    told = {f"{stem}.ibd" if n == ".ibd" else n for n in told}
    assert {one.path for one in APPS[name].outputs.values()} == told


def test_outputs__have_each_export():
    said = {
        (one.when, one.path) for one in APPS["metabolite-annotation"].outputs.values()
    }
    files = {
        (f"with --export {n}", file) for n, files in EXPORTS.items() for file in files
    }
    assert files <= said


# An app.toml that is wrong

GOOD = """
name = "count"
version = "1.2"
summary = "count words"
licence = "MIT"
command = ["python", "count.py"]
out = "out"

[inputs.text]
formats = [{ name = "text", ends = [".txt"] }]

[outputs.counts]
path = "counts.txt"
help = "a line a word"
same = true

[resources]
plan = "plan"

[example]
options = { text = ["a.txt"], least = 2 }

[options]
text = { type = "file", many = "words", required = true, help = "text" }
least = { type = "integer", least = 1, flag = "--least", default = 1, help = "n" }
kind = { type = "string", choices = ["all", "new"], flag = "--kind", help = "of words" }
plan = { type = "boolean", flag = "--plan", default = false, help = "plan only" }
out = { type = "folder", flag = "--out", required = true, help = "results" }
"""
PROGRAM = """
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("text", nargs="+")
parser.add_argument("--least", type=int, default=1)
parser.add_argument("--kind")
parser.add_argument("--plan", action="store_true")
parser.add_argument("--out", type=pathlib.Path)
args = parser.parse_args()
if args.plan:
    print(json.dumps({"cpu_s": 1, "node_bytes": 0, "rank_bytes": 1 << 20}))
    sys.exit()
words = " ".join(open(name).read() for name in args.text).split()
args.out.mkdir()
found = [f"{w} {words.count(w)}\\n" for w in sorted(set(words))]
(args.out / "counts.txt").write_text("".join(found))
"""


@pytest.fixture
def third(tmp_path):
    """Return the folder of an app of somebody else's."""
    folder = tmp_path / "third"
    (folder / "example").mkdir(parents=True)
    (folder / FILE).write_text(GOOD)
    (folder / "example/count.py").write_text(PROGRAM)
    (folder / "example/a.txt").write_text("to be or not to be")
    return folder


def change(folder, before, after, name=FILE):
    """Change a file of an app."""
    text = (folder / name).read_text()
    assert before in text
    (folder / name).write_text(text.replace(before, after, 1))


@pytest.mark.parametrize(
    ("before", "after", "faults"),
    [
        (
            'name = "count"',
            'names = "count"',
            ["unknown key names; expected one of name", "expected name"],
        ),
        (
            'name = "count"',
            'name = "Count words"',
            ["name = 'Count words': expected letters a-z, digits and -"],
        ),
        ('version = "1.2"', "version = 1.2", ["version = 1.2: expected text"]),
        ('version = "1.2"', "", ["expected version"]),
        (
            'command = ["python", "count.py"]',
            "command = []",
            ["command = []: expected a list"],
        ),
        (
            'out = "out"',
            'out = "least"',
            ["out = 'least': expected the name of an option whose type is folder"],
        ),
        (
            "[inputs.text]",
            "[inputs.texts]",
            [
                "[inputs.texts]: expected the name of an option whose type is file",
                "expected [inputs.text], for the option names a file",
            ],
        ),
        (
            'formats = [{ name = "text"',
            'formats = [{ names = "text"',
            [
                "[inputs.text]: formats: unknown key names; expected one of name, ends",
                "[inputs.text]: formats: expected name",
            ],
        ),
        (
            '[inputs.text]\nformats = [{ name = "text", ends = [".txt"] }]',
            "[inputs]\ntext = 5",
            ["[inputs.text]: 5: expected a table"],
        ),
        (
            '[inputs.text]\nformats = [{ name = "text", ends = [".txt"] }]',
            "",
            ["expected [inputs.text], for the option names a file"],
        ),
        (
            "same = true",
            "same = 1",
            ["[outputs.counts]: same = 1: expected true or false"],
        ),
        (
            "counts.txt",
            "../counts.txt",
            ["[outputs.counts]: path = '../counts.txt': expected one in the results"],
        ),
        (
            "[outputs.counts]",
            "[outputs.kind]",
            ["[outputs.kind]: expected another name than that of an option"],
        ),
        (
            'plan = "plan"',
            'plan = "least"',
            [
                "[resources] plan = 'least': expected the name of an option whose type "
                "is boolean"
            ],
        ),
        ('text = ["a.txt"], ', "", ["[example] options: expected text"]),
        (
            '["a.txt"]',
            '"a.txt"',
            ["[example] options: text = 'a.txt': expected a list of files"],
        ),
        (
            "least = 2 }",
            'least = "2" }',
            ["[example] options: least = '2': expected integer"],
        ),
        (
            "least = 2 }",
            "most = 2 }",
            ["[example] options: most: expected the name of an option of a run"],
        ),
        (
            "least = 2 }",
            'kind = "old" }',
            ["[example] options: kind = 'old': expected one of all, new"],
        ),
        (
            'type = "integer"',
            'type = "int"',
            ["[options.least]: type = 'int': expected one of integer, number, string"],
        ),
        (
            'many = "words"',
            'many = "several"',
            ["[options.text]: many = 'several': expected one of words, repeat, commas"],
        ),
        (
            "default = 1",
            'default = "1"',
            ["[options.least]: default = '1': expected integer"],
        ),
        (
            "default = 1",
            "default = true",
            ["[options.least]: default = True: expected integer"],
        ),
        (
            "least = 1,",
            "least = '1',",
            ["[options.least]: least = '1': expected a number"],
        ),
        (
            'choices = ["all", "new"]',
            'pattern = "("',
            ["[options.kind]: pattern = '(': expected a regular expression"],
        ),
        ("[resources]", "[resource]", ["unknown key resource; expected one of name"]),
        (
            "[resources]",
            "[[resources]]",
            ["[resources]: [{'plan': 'plan'}]: expected a"],
        ),
        (
            '[{ name = "text", ends = [".txt"] }]',
            "[]",
            ["formats = []: expected a list"],
        ),
        (
            "[example]\n",
            "[example]\nprepare = ['make it']\n",
            ["[example]: prepare = ['make it']: expected a list"],
        ),
        (
            "[example]\n",
            "[example]\noutputs = ['count']\n",
            ["[example] outputs: count: expected some of counts"],
        ),
        ("name = ", "name ", ["cannot be read as TOML"]),
    ],
)
def test_check__says_each_fault_in_a_line(third, capsys, before, after, faults):
    change(third, before, after)
    assert main(["apps", "check", str(third)]) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == len(faults), lines
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(f"hpc-connector: {third}/{FILE}: ")
        assert fault in line


ANY = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)
    ),
    lambda some: st.one_of(
        st.lists(some, max_size=2),
        st.dictionaries(st.text(max_size=3), some, max_size=2),
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), value=ANY)
def test_look_at__of_any_value_says_its_faults(data, value):
    told = place = tomllib.loads(GOOD)
    for _ in range(data.draw(st.integers(0, 2))):
        tables = [v for v in place.values() if isinstance(v, dict)]
        place = data.draw(st.sampled_from(tables)) if tables else place
    place[data.draw(st.sampled_from([*place, "no_key"]))] = value
    with mock.patch("hpc_connector.apps.read.read_toml", return_value=told):
        app, faults = look_at(Path("folder"))
    assert app is not None or faults
    if not faults:
        make_tool(app), make_schema(app)


def test_check__of_a_folder_that_is_no_app(tmp_path, capsys):
    assert main(["apps", "check", str(tmp_path)]) == 2
    assert f"{tmp_path}/{FILE}: cannot be read" in capsys.readouterr().err
    assert main(["apps", "check", f"{tmp_path}/none"]) == 2
    assert "expected a folder with app.toml, or one of mdr-" in capsys.readouterr().err


# Examples that run


def test_show__of_an_app_beside_a_folder_of_its_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "mdr-epistasis").mkdir()  # results, as many call them
    monkeypatch.chdir(tmp_path)
    assert main(["apps", "show", "mdr-epistasis"]) == 0
    assert capsys.readouterr().out.startswith("mdr-epistasis ")


def test_check__says_what_is_right(third, capsys):
    assert main(["apps", "check", str(third)]) == 0
    lines = re.sub(r" \(\d+\.\d s\)", "", capsys.readouterr().out).splitlines()
    assert lines == [
        "count 1.2: app.toml with 1 inputs, 5 options, 1 outputs",
        "plan: 1.0 CPU s, 1 MiB",
        "run: python count.py a.txt --least 2 --out first",
        "run: python count.py a.txt --least 2 --out second",
        "outputs: counts.txt",
        "the same bytes twice: counts.txt",
    ]
    assert sorted(p.name for p in third.rglob("*")) == [
        "a.txt",
        FILE,
        "count.py",
        "example",
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("counts.txt", "count.txt", "[outputs.counts]: expected counts.txt, a file"),
        ('"".join(found)', '""', "[outputs.counts]: expected counts.txt, a file"),
        (
            "found =",
            '(args.out / "log.txt").touch()\nfound =',
            "left log.txt, which is none of the outputs of the example: counts",
        ),
        ("found =", "import time\nargs.least = time.time_ns()\nfound =", ""),
        (
            "{w} {words",
            "{w} {__import__('time').time_ns()} {words",
            "counts.txt: expected the same bytes of two runs",
        ),
        (
            "words =",
            'sys.exit("count.py: no such text")\nwords =',
            "--least 2 --out first: exit code 1: count.py: no such text",
        ),
        ("words =", "sys.exit(3)\nwords =", "exit code 3: it says nothing"),
        (
            '"cpu_s"',
            '"cpu"',
            "--out planned --plan: expected JSON with cpu_s, node_bytes, rank_bytes",
        ),
        ("    sys.exit()", "    args.plan", "expected a plan alone, found results"),
    ],
)
def test_check__says_what_is_not_as_the_app_says(third, capsys, before, after, said):
    change(third, before, after, "example/count.py")
    assert main(["apps", "check", str(third)]) == (2 if said else 0)
    assert said in capsys.readouterr().err


def test_check__of_a_program_that_asks_to_come_again(third, capsys):
    change(third, "words =", "sys.exit(75)\nwords =", "example/count.py")
    assert main(["apps", "check", str(third)]) == 75
    assert "exit code 75" in capsys.readouterr().err


@pytest.mark.parametrize(
    "hangs",
    [
        "import time; time.sleep(3600)",
        "import subprocess; subprocess.run(['sleep', '3600'])",
    ],
)
def test_check__ends_a_program_that_does_not(third, capsys, hangs):
    change(third, "words =", f"{hangs}\nwords =", "example/count.py")
    assert main(["apps", "check", str(third), "--patience", "5s"]) == 2
    assert "expected an end within 5 s" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_check__that_is_stopped_ends_its_program(third, tmp_path, number):
    begun = tmp_path / "begun"
    waits = f"import os, time; open({str(begun)!r}, 'w').write(str(os.getpid())); "
    change(third, "words =", f"{waits}time.sleep(3600)\nwords =", "example/count.py")
    command = [sys.executable, "-m", "hpc_connector", "apps", "check", str(third)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: begun.exists() and begun.read_text())
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 75
    assert said == "hpc-connector: stopped on request, and what was run with it\n"
    wait_for(lambda: not Path(f"/proc/{begun.read_text()}").exists())


def test_check__of_a_program_that_is_not_there(third, capsys):
    change(third, '"python"', '"no-such-program"')
    assert main(["apps", "check", str(third)]) == 2
    err = capsys.readouterr().err
    assert err == (
        "hpc-connector: no-such-program: expected a program that is installed\n"
    )


def test_check__of_an_app_without_an_example(third, capsys):
    change(third, '[example]\noptions = { text = ["a.txt"], least = 2 }', "")
    assert main(["apps", "check", str(third)]) == 2
    assert "count: expected [example], which is to be run" in capsys.readouterr().err


@names
def test_check__of_both_programs(name, capsys):
    assert main(["apps", "check", name]) == 0
    out = capsys.readouterr().out
    assert "\nthe same bytes twice: " in out
    assert "results.h5" in out.splitlines()[-1]


# Options of code

CODE = """
from dataclasses import MISSING, dataclass
from hpc_connector.options import at_least, local, option, source

@dataclass(frozen=True, kw_only=True)
class Options:
    text: str = option(MISSING, "text", group="", flag="", read=source, many="words")
    least: int = option(1, "n (default: %(default)s)", group="", read=at_least(1))
    out: str = option(MISSING, "results", group="", read=local, metavar="DIR")
"""


@pytest.fixture
def coded(third, monkeypatch):
    """Return the folder of an app whose options are those of code."""
    (third / "counting.py").write_text(CODE)
    monkeypatch.syspath_prepend(third)
    monkeypatch.delitem(sys.modules, "counting", raising=False)
    change(third, 'licence = "MIT"', 'licence = "MIT"\ncode = "counting:Options"')
    return third


def test_check__says_which_option_the_program_has_otherwise(coded, capsys):
    assert main(["apps", "check", str(coded)]) == 2
    lines = capsys.readouterr().err.splitlines()
    names = [re.search(r"\[options\.(\w+)\]", line)[1] for line in lines]
    assert names == ["text", "least", "out", "kind", "plan"]
    assert lines[0].endswith(
        "expected it as counting:Options has it; apps check --write writes it"
    )


def test_write__makes_the_options_those_of_the_program(coded, capsys):
    change(coded, '[resources]\nplan = "plan"\n', "")
    before = (coded / FILE).read_text().partition("[options]")[0]
    for _ in range(2):
        assert main(["apps", "check", str(coded), "--write"]) == 0
        assert capsys.readouterr().out.startswith("3 options written to ")
        assert list_differences(coded) == []
    after = (coded / FILE).read_text()
    assert after.startswith(before)
    assert after.endswith(
        'least = { type = "integer", least = 1, flag = "--least", default = 1, '
        'help = "n (default: 1)" }\n'
        'out = { type = "folder", pattern = "^(?![A-Za-z][A-Za-z0-9+.-]*:/)", '
        'required = true, flag = "--out", site = true, help = "results" }\n'
    )


@pytest.mark.parametrize(
    "code", ["no_module:Options", "counting:Option", "counting", "json:JSONDecoder"]
)
def test_load_rows__of_what_is_no_code(coded, code):
    with pytest.raises(
        BadInput, match=r"app: code = .*: expected MODULE:CLASS, of opt"
    ):
        load_rows(code, "app")


# The installed ones


def run_command(*words, **variables):
    """Return what a command of ours did, in a process of its own."""
    return subprocess.run(
        ["hpc-connector", *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def install(site, name, folder):
    """Install the app of a folder under a name, in a folder of packages."""
    package = site / name.replace("-", "_")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('it is imported')")
    if folder:
        (package / FILE).write_text((folder / FILE).read_text())
    info = site / f"{package.name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n"
    )
    (info / "entry_points.txt").write_text(
        f"[hpc_connector.apps]\n{name} = {package.name}\n"
    )


def test_list__has_a_third_program_that_is_not_imported(third, tmp_path):
    install(tmp_path / "site", "count", third)
    done = run_command("apps", "list", PYTHONPATH=str(tmp_path / "site"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split()[:2] for line in done.stdout.splitlines()]
    ours = version("hpc_connector")
    assert lines == [
        ["count", "1.2"],
        ["mdr-epistasis", ours],
        ["metabolite-annotation", ours],
    ]
    done = run_command(
        "apps", "show", "count", "--json", PYTHONPATH=str(tmp_path / "site")
    )
    assert json.loads(done.stdout)["command"] == ["python", "count.py"]


def test_list__says_which_cannot_be_read(third, tmp_path):
    site = tmp_path / "site"
    install(site, "empty", None)
    install(site, "other", third)
    install(site, "gone", None)
    (site / "gone/__init__.py").unlink()
    (site / "gone").rmdir()
    done = run_command("apps", "list", "--json", PYTHONPATH=str(site))
    assert done.returncode == 0
    assert [one["name"] for one in json.loads(done.stdout)] == list(APPS)
    lines = [line.removeprefix("hpc-connector: ") for line in done.stderr.splitlines()]
    assert lines[0] == "gone is left out: there is no package gone"
    assert lines[1].startswith(f"empty is left out: {site}/empty/{FILE}: cannot be ")
    assert lines[2:] == [
        f"other is left out: {site}/other: name = 'count': expected 'other'"
    ]


def test_find_installed__is_where_the_packages_are():
    found = {name: folder.resolve() for name, folder in find_installed().items()}
    assert found == FOLDERS


# For people, and as JSON


@names
def test_show__says_inputs_outputs_and_each_option(name, capsys):
    assert main(["apps", "show", name]) == 0
    said = capsys.readouterr().out
    app = APPS[name]
    told = said.replace("[", " ").replace("]", " ").split()
    assert {o.flag for o in app.options.values() if o.flag} <= set(told)
    for one in app.outputs.values():
        assert f"  {one.path}  {one.help}" in said


def test_show__as_json_is_stable(third, capsys):
    assert main(["apps", "show", str(third), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == [
        *("format_version", "name", "version", "summary", "licence", "command", "out"),
        *("image", "inputs", "options", "outputs", "resources", "example"),
    ]
    assert told["format_version"] == 1
    assert [one["name"] for one in told["options"]] == [
        "text",
        "least",
        "kind",
        "plan",
        "out",
    ]
    assert told["inputs"] == [
        {
            "name": "text",
            "formats": [
                {
                    "name": "text",
                    "ends": [".txt"],
                    "companions": [],
                    "indexes": [],
                    "folder": False,
                }
            ],
            "roles": [],
            "required": True,
            "many": True,
        }
    ]


def test_look_at__finds_nothing_wrong_with_the_good_one(third):
    assert look_at(third)[1] == []
