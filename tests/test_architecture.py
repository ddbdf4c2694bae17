"""The shape of the package: imports point down, and heavy ones have one home."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("hpc_connector/**/*.py"), *ROOT.glob("apps/**/*.py")])
ROLES = {"loader", "partitioner", "learner", "storer"}
SERVICES = {"cli", "pipeline", "cluster", "burst", "allocation", "telemetry"}
SERVICES |= {"commands", "program", "slices", "__main__"}
PROGRAMS = {"mdr_epistasis", "metabolite_annotation"}

# Where a package may be imported; "lazily" means inside a function only, because
# the import starts MPI or costs the command line its half second.
HOMES = {
    "mpi4py": ("lazily", ["hpc_connector/partitioner/"]),
    "pysam": (
        "",
        ["hpc_connector/loader/genotypes/", "apps/mdr_epistasis/simulate.py"],
    ),
    "imagecodecs": ("lazily", ["hpc_connector/slices/formats/pixels.py"]),
    "laspy": ("lazily", ["hpc_connector/slices/formats/las.py"]),
    "lazrs": ("lazily", ["hpc_connector/slices/formats/las.py"]),
    "lithops": ("lazily", ["hpc_connector/burst/"]),
    "yaml": ("lazily", ["hpc_connector/burst/config.py"]),
    "obstore": (
        "lazily",
        ["hpc_connector/storage/fast.py", "hpc_connector/storage/s3.py"],
    ),
    "boto3": ("lazily", ["hpc_connector/storage/s3.py"]),
    "botocore": ("lazily", ["hpc_connector/stores/"]),
    "urllib3": ("lazily", ["hpc_connector/stores/"]),
    "indexed_gzip": ("lazily", ["hpc_connector/slices/gzip_points.py"]),
    "pyarrow": ("lazily", ["hpc_connector/telemetry/"]),
    "anndata": ("lazily", ["apps/metabolite_annotation/export.py"]),
    "catboost": ("lazily", ["apps/metabolite_annotation/scoring_model.py"]),
    "pandas": (
        "lazily",
        [
            "apps/metabolite_annotation/export.py",
            "hpc_connector/slices/formats/text.py",
        ],
    ),
    "h5py": (
        "",
        [
            "hpc_connector/storer/",
            "hpc_connector/report/",
            "apps/mdr_epistasis/report/run_file.py",
            "apps/metabolite_annotation/report/run_file.py",
        ],
    ),
}


def get_imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield every name a file imports, and whether a function does it."""
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [f for f in ast.walk(tree) if isinstance(f, kinds)]
    lazy = {node for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            where = "." * node.level + (node.module or "")
            yield from ((f"{where}.{alias.name}", node in lazy) for alias in node.names)


def get_layer(name: str) -> tuple[int, str]:
    """Return how high a module of ours stands, and the part it belongs to."""
    first, *rest = name.split(".")
    part = rest[0] if first == "hpc_connector" and rest else first
    for layer, parts in enumerate([ROLES, SERVICES, PROGRAMS], start=1):
        if part in parts:
            return layer, part
    return 0, part


def get_module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("apps.")


@pytest.mark.parametrize("path", SOURCES, ids=get_module)
def test_imports__point_down(path):
    layer, part = get_layer(get_module(path))
    for name, _ in get_imports(path):
        assert not name.startswith("."), f"{path}: import {name} by its full name"
        if name.split(".")[0] in PROGRAMS | {"hpc_connector"}:
            layer_below, part_below = get_layer(name)
            is_beside = layer == layer_below and layer in (1, 3) and part != part_below
            assert layer_below <= layer, f"{path} imports {name}, which is above it"
            assert not is_beside, f"{path} imports {name}, which is beside it"


@pytest.mark.parametrize("path", SOURCES, ids=get_module)
def test_imports__have_one_home(path):
    place = path.relative_to(ROOT).as_posix()
    for name, is_lazy in get_imports(path):
        when, homes = HOMES.get(name.split(".")[0], ("", [place]))
        assert place.startswith(tuple(homes)), f"{place} imports {name}"
        assert is_lazy or not when, f"{place} imports {name} outside a function"


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_help__imports_nothing_heavy(program):
    code = (
        f"import sys, contextlib; from {program}.program import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print('heavy:', {'numba', 'mpi4py', 'h5py', 'pysam'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.endswith("heavy: set()\n"), run.stdout[-80:] + run.stderr


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_help__answers_in_half_a_second(program):
    command = program.replace("_", "-")
    took_s = []  # CPU seconds, for other work runs on the machine
    for _ in range(3):
        before = os.times()
        subprocess.run([command, "--help"], check=True, capture_output=True)
        after = os.times()
        took_s.append(sum(after[2:4]) - sum(before[2:4]))
    assert min(took_s) < 0.5
