"""The shape of the code: no circle, commands on top, heavy imports have one home."""

import ast
import graphlib
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("hpc_connector/**/*.py"), *ROOT.glob("apps/**/*.py")])
PROGRAMS = {"mdr_epistasis", "metabolite_annotation"}
MOST_FILES = 16  # of a folder
# What turns words into values: these are imported by nobody but what starts them
COMMANDS = ("hpc_connector.commands", *(f"{program}.program" for program in PROGRAMS))
WORDS = (*COMMANDS, "hpc_connector.cli")  # where argparse may stand
ROLES = {"loader", "partitioner", "learner", "storer"}  # which do not know another

# Where a package may be imported; "lazily" means inside a function only, because
# the import starts MPI or costs the command line its half second.
HOMES = {
    "mpi4py": ("lazily", ["hpc_connector/partitioner/"]),
    "pysam": (
        "",
        ["hpc_connector/loader/genotypes/", "apps/mdr_epistasis/simulate"],
    ),
    "imagecodecs": ("lazily", ["hpc_connector/slices/formats/pixels.py"]),
    "laspy": ("lazily", ["hpc_connector/slices/formats/las.py"]),
    "lazrs": ("lazily", ["hpc_connector/slices/formats/las.py"]),
    "lithops": ("lazily", ["hpc_connector/burst/"]),
    "yaml": (
        "lazily",
        ["hpc_connector/burst/config.py", "hpc_connector/confidential/scone/source.py"],
    ),
    "obstore": (
        "lazily",
        ["hpc_connector/storage/fast.py", "hpc_connector/storage/s3.py"],
    ),
    "boto3": ("lazily", ["hpc_connector/storage/s3.py"]),
    "botocore": ("lazily", ["hpc_connector/storage/"]),
    "urllib3": ("lazily", ["hpc_connector/storage/"]),
    "indexed_gzip": ("lazily", ["hpc_connector/slices/gzip_points.py"]),
    "pgenlib": ("lazily", ["hpc_connector/loader/genotypes/plink2/"]),
    "zarr": ("lazily", ["hpc_connector/loader/genotypes/vcf/vcz.py"]),
    "pyarrow": ("lazily", ["hpc_connector/telemetry/"]),
    "cryptography": (
        "",
        [
            "hpc_connector/crypt4gh/",
            "hpc_connector/confidential/",
            "hpc_connector/commands/confidential/",
            "hpc_connector/federation/",
        ],
    ),
    "rdflib": ("", ["hpc_connector/catalogue/graph/"]),
    "pyshacl": ("lazily", ["hpc_connector/catalogue/graph/"]),
    "rocrate": ("", ["hpc_connector/catalogue/graph/"]),
    "sqlite3": (
        "",
        ["hpc_connector/catalogue/", "hpc_connector/confidential/keeper/"],
    ),
    "jwt": ("", ["hpc_connector/confidential/identity/"]),
    "dcap_qvl": ("lazily", ["hpc_connector/confidential/evidence/dcap.py"]),
    "nats": ("", ["hpc_connector/streams/jetstream/"]),
    "nkeys": ("lazily", ["hpc_connector/streams/jetstream/profile.py"]),
    "pravega_client": (
        "lazily",
        [
            "hpc_connector/streams/bytestream/child.py",
            "hpc_connector/streams/pravega_client.py",
        ],
    ),
    "anndata": ("lazily", ["apps/metabolite_annotation/"]),
    "PIL": ("lazily", ["apps/metabolite_annotation/report/optical.py"]),
    "spatialdata": ("lazily", ["apps/metabolite_annotation/export/spatial_data.py"]),
    "dask": ("lazily", ["apps/metabolite_annotation/export/spatial_data.py"]),
    "pyimzml": ("lazily", ["apps/metabolite_annotation/output/imzml.py"]),
    "catboost": ("lazily", ["apps/metabolite_annotation/inputs/scoring_model.py"]),
    "pandas": (
        "lazily",
        [
            "hpc_connector/storer/columns.py",
            "hpc_connector/slices/formats/text.py",
            "apps/metabolite_annotation/export/",
        ],
    ),
    "sklearn": ("", ["hpc_connector/forecast/", "apps/mdr_epistasis/estimator.py"]),
    "rich": ("lazily", ["hpc_connector/commands/telemetry/screen.py"]),
    "jinja2": ("", ["hpc_connector/report/templates.py"]),
    "h5py": (
        "lazily",
        ["hpc_connector/storer/", "hpc_connector/report/", "apps/"],
    ),
}


def get_module(path: Path) -> str:
    """Return the name of a module, as it is imported."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removeprefix("apps.").removesuffix(".__init__")


MODULES = {get_module(path): path for path in SOURCES}


def list_imports(path: Path) -> list[tuple[str, bool]]:
    """Return every name that a file imports, and whether a function does it.

    So does, for what it costs, what only a checker of types sees.
    """
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    places = [
        node
        for node in ast.walk(tree)
        if isinstance(node, kinds)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    lazy = {node for place in places for node in ast.walk(place)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            where = "." * node.level + (node.module or "")
            found += [(f"{where}.{alias.name}", node in lazy) for alias in node.names]
    return found


def list_modules(path: Path) -> set[str]:
    """Return the modules of ours that a file imports, at its top or in a function."""
    names = [name for name, _ in list_imports(path)]
    found = {n if n in MODULES else n.rpartition(".")[0] for n in names}
    return (found & MODULES.keys()) - {get_module(path)}


def is_in(module: str, places: tuple[str, ...]) -> bool:
    """Return whether a module is one of some, or lies in one."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_imports__go_round_in_no_circle():
    graph = {module: list_modules(path) for module, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names it


@pytest.mark.parametrize("path", SOURCES, ids=get_module)
def test_imports__are_of_what_is_below(path):
    module = get_module(path)
    assert not [name for name, _ in list_imports(path) if name.startswith(".")]
    for name in list_modules(path):
        starts = module.endswith("__main__") or is_in(module, COMMANDS)
        assert starts or not is_in(name, COMMANDS), f"{module} imports {name}"
        ours, theirs = module.split("."), name.split(".")
        if theirs[0] in PROGRAMS:
            assert ours[0] == theirs[0], f"{module} imports {name}, a program"
        both = {ours[1] if ours[1:] else "", theirs[1] if theirs[1:] else ""}
        assert not (len(both) == 2 and both <= ROLES), f"{module} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=get_module)
def test_words__are_turned_to_values_by_commands_alone(path):
    is_free = is_in(get_module(path), WORDS)
    assert is_free or "argparse" not in path.read_text()


def test_library__names_no_program():
    """But for the help of commands, which says which there are."""
    names = [*PROGRAMS, *(program.replace("_", "-") for program in PROGRAMS)]
    for path in ROOT.glob("hpc_connector/**/*.py"):
        if is_in(get_module(path), COMMANDS):
            continue
        tree = ast.parse(path.read_text())
        said = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                here = [name for name in names if name in node.value]
                assert not here or node.value in said, f"{path}:{node.lineno}: {here}"


def test_folders__hold_few_files():
    counts = Counter(path.parent for path in SOURCES)
    assert {str(k): n for k, n in counts.items() if n > MOST_FILES} == {}


@pytest.mark.parametrize("path", SOURCES, ids=get_module)
def test_imports__have_one_home(path):
    place = path.relative_to(ROOT).as_posix()
    for name, is_lazy in list_imports(path):
        when, homes = HOMES.get(name.split(".")[0], ("", [place]))
        assert place.startswith(tuple(homes)), f"{place} imports {name}"
        assert is_lazy or not when, f"{place} imports {name} outside a function"


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_help__imports_nothing_heavy(program):
    code = (
        f"import sys, contextlib; from {program}.program import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "heavy = {'h5py', 'jinja2', 'mpi4py', 'numba', 'pysam'}\n"
        "print('heavy:', heavy & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.endswith("heavy: set()\n"), run.stdout[-80:] + run.stderr


def measure_cpu(command):
    """Return the CPU time that a command takes: other work runs on the machine too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    "command", ["mdr-epistasis", "metabolite-annotation", "hpc-connector apps"]
)
def test_help__takes_less_than_eight_pythons_that_do_nothing(command):
    helped = [*command.split(), "--help"]
    nothing = [sys.executable, "-c", "import argparse, json"]
    pairs = [(measure_cpu(helped), measure_cpu(nothing)) for _ in range(3)]
    helped_s, nothing_s = map(min, zip(*pairs, strict=True))
    assert helped_s < 8 * nothing_s
