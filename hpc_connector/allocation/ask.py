"""Ask a program what a run will take."""

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hpc_connector.allocation.cost import Cost
from hpc_connector.cluster.site import Site, get_container
from hpc_connector.errors import BadInput

logger = logging.getLogger(__name__)

AT_ONCE = min(8, os.cpu_count() or 1)  # of what is asked: others use a login node too

Item = TypeVar("Item")
Found = TypeVar("Found")


def ask_each(
    ask: Callable[[Item], Found], items: Sequence[Item]
) -> Generator[Found | BadInput, None, None]:
    """Yield what each of many is answered, or why not; a few are asked at once.

    Ctrl-C is raised between two of them: in the middle of handing out work it can leave
    a lock of the threads taken, and all would wait for ever.
    """
    stop = threading.Event()

    def ask_one(item: Item) -> Found | BadInput | None:
        try:
            return None if stop.is_set() else ask(item)
        except BadInput as error:
            return error

    with on_interrupt(stop.set), ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for found in pool.map(ask_one, items):
                if stop.is_set() or found is None:  # None is of what was not asked
                    raise KeyboardInterrupt
                yield found
        finally:  # also if the caller ends it
            stop.set()


@contextlib.contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Act on Ctrl-C, where this is the thread that is told of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def get_cost(program: str, arguments: tuple[str, ...], site: Site) -> Cost:
    """Ask a program what a run will take; it checks the arguments as well.

    Raises
    ------
    BadInput
        There is no such program, or it refuses the arguments.
    """
    command = [*get_container(site), program, *arguments, "--plan"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except (OSError, ValueError) as error:  # or what it says is no text
        raise BadInput(f"{program} --plan failed: {error}") from None
    if done.returncode != 0:
        raise BadInput(describe_failure(program, done.returncode, done.stderr))
    try:
        found = json.loads(done.stdout.splitlines()[-1])
        return Cost(**found | {"reasons": tuple(found["reasons"])})
    except (ValueError, TypeError, KeyError, IndexError):
        raise BadInput(
            f"{program} --plan says no plan: expected a program of this suite, of the "
            "same version"
        ) from None


def check_program(program: str, site: Site) -> None:
    """Refuse a program that cannot be asked here.

    Raises
    ------
    BadInput
        It is not to be found.
    """
    if program != Path(program).name:
        raise BadInput(f"{program}: expected the name of a program, which is on PATH")
    if get_container(site):
        return
    is_here = shutil.which(program) is not None
    if site.image and not is_here:
        raise BadInput(
            f"{site.image}: to ask for the plan of a run, apptainer or singularity is "
            "needed here: load its module first, as CONNECTOR_SETUP does in the job"
        )
    if not is_here:
        raise BadInput(
            f"{program} is not installed here: expected a program of this suite on "
            "PATH; is its environment activated?"
        )
    if site.image:
        said = "no apptainer here: the plan is that of %s outside %s"
        logger.info(said, program, site.image)


def describe_failure(program: str, code: int, said: str) -> str:
    """Return why a program failed, in a line: its last one after a traceback."""
    lines = [line for line in said.splitlines() if line.strip()]
    if any(line.startswith("Traceback ") for line in lines):
        return f"{program} --plan failed: {lines[-1].strip()}"
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    return " ".join(said.split()) or f"{program} --plan failed: {ended}"
