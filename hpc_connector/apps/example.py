"""An app tried on its example: in a clean folder, twice."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from filecmp import cmp
from pathlib import Path
from tempfile import TemporaryDirectory

from hpc_connector.apps.app import App, Example, Output, list_words
from hpc_connector.errors import STOPPED, BadInput, Later
from hpc_connector.pipeline.process_group import start_group
from hpc_connector.pipeline.signals import on_signals

EXAMPLE = "example"  # the folder of files of an example, beside app.toml
PLANNED = ("cpu_s", "node_bytes", "rank_bytes")


def try_example(app: App, folder: Path, patience_s: float) -> Iterator[str]:
    """Run an app on its example; yield what was found right.

    Raises
    ------
    BadInput
        What is not as the app says; or a command that fails, or takes longer.
    Later
        One that says so.
    """
    if app.example is None:
        raise BadInput(f"{app.name}: expected [example], which is to be run")
    with TemporaryDirectory(prefix=f"{app.name}-") as place:
        clean = Path(place)
        if (folder / EXAMPLE).is_dir():
            shutil.copytree(folder / EXAMPLE, clean, dirs_exist_ok=True)
        for command in app.example.prepare:
            run_words(command, clean, patience_s)
            yield f"made: {shlex.join(command)}"
        if app.resources.plan:
            yield check_plan(app, app.example, clean, patience_s)
        first, second = clean / "first", clean / "second"
        for out in (first, second):
            start_s = time.monotonic()
            words = list_words(app, {**app.example.options, app.out: out.name})
            run_words(words, clean, patience_s)
            yield f"run: {shlex.join(words)} ({time.monotonic() - start_s:.1f} s)"
        yield f"outputs: {', '.join(check_outputs(app, app.example, first))}"
        same = check_same(app, first, second)
        yield f"the same bytes twice: {', '.join(same) or 'none is said to be'}"


def run_words(words: Sequence[str], place: Path, patience_s: float) -> str:
    """Run a command in a folder; return what it prints.

    Programs beside this Python are found first.
    """
    beside = os.path.dirname(sys.executable)
    path = os.pathsep.join([beside, os.environ.get("PATH", "")])
    program = shutil.which(words[0], path=path)
    if program is None:
        raise BadInput(f"{words[0]}: expected a program that is installed")
    out, err, code = run_group([program, *words[1:]], place, path, patience_s)
    if code:
        last = (err.strip() or "it says nothing").splitlines()[-1]
        kind = Later if code == STOPPED else BadInput
        raise kind(f"{shlex.join(words)}: exit code {code}: {last}")
    return out


def run_group(
    words: Sequence[str], place: Path, path: str, patience_s: float
) -> tuple[str, str, int]:
    """Run a command; return what it prints, its errors and its exit code.

    If it takes longer it is killed, and all that it has started; also if this process
    is to stop.
    """

    def stop() -> None:
        raise Later("stopped on request, and what was run with it")

    group = start_group(
        words,
        cwd=place,
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        with on_signals(stop), group as process:
            out, err = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        said = shlex.join([os.path.basename(words[0]), *words[1:]])
        raise BadInput(f"{said}: expected an end within {patience_s:g} s") from None
    return out, err, process.returncode


def check_plan(app: App, example: Example, place: Path, patience_s: float) -> str:
    """Return what a run takes, as the program plans it."""
    values = {**example.options, app.out: "planned", app.resources.plan: True}
    words = list_words(app, values)
    said = run_words(words, place, patience_s)
    try:
        told = json.loads(said)
        cpu_s, *n_bytes = (float(told[key]) for key in PLANNED)
    except (ValueError, KeyError, TypeError):
        raise BadInput(
            f"{shlex.join(words)}: expected JSON with {', '.join(PLANNED)}"
        ) from None
    if (place / "planned").exists():
        raise BadInput(f"{shlex.join(words)}: expected a plan alone, found results")
    return f"plan: {cpu_s:.1f} CPU s, {sum(n_bytes) / 2**20:,.0f} MiB"


def check_outputs(app: App, example: Example, out: Path) -> list[str]:
    """Return the outputs of a run, which are those that the app names, and no others.

    Raises
    ------
    BadInput
        One is not there, is empty, or is not named.
    """
    expected = example.outputs or [n for n, o in app.outputs.items() if not o.when]
    found = {name: find_output(app.outputs[name], out) for name in expected}
    for name, paths in found.items():
        path = app.outputs[name].path
        if not paths or not all(map(has_content, paths)):
            kind = "a folder with files" if app.outputs[name].folder else "a file"
            raise BadInput(f"{app.name}: [outputs.{name}]: expected {path}, {kind}")
    named = [path for paths in found.values() for path in paths]
    for file in sorted(out.rglob("*")):
        if file.is_file() and not any(one in (file, *file.parents) for one in named):
            raise BadInput(
                f"{app.name}: left {file.relative_to(out)}, which is none of the "
                f"outputs of the example: {', '.join(expected)}"
            )
    return [str(path.relative_to(out)) for path in named]


def find_output(one: Output, out: Path) -> list[Path]:
    """Return the paths of an output."""
    found = sorted(out.glob(one.path))
    return [path for path in found if path.is_dir() == one.folder]


def has_content(path: Path) -> bool:
    """Return whether a file, or some file of a folder, has bytes."""
    return any(one.is_file() and one.stat().st_size for one in [path, *path.rglob("*")])


def check_same(app: App, first: Path, second: Path) -> list[str]:
    """Return the outputs of which two runs left the same bytes, as the app says.

    Raises
    ------
    BadInput
        One differs.
    """
    told = [one for one in app.outputs.values() if one.same]
    paths = [path for one in told for path in find_output(one, first)]
    for path in paths:
        files = [f for f in [path, *path.rglob("*")] if f.is_file()]
        for file in files:
            other = second / file.relative_to(first)
            if not other.is_file() or not cmp(file, other, shallow=False):
                raise BadInput(
                    f"{app.name}: {file.relative_to(first)}: expected the same bytes "
                    "of two runs"
                )
    return [str(path.relative_to(first)) for path in paths]
