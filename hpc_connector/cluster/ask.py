"""Ask a program what a run will take."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from hpc_connector.allocation import Cost
from hpc_connector.cluster.site import Site, get_container
from hpc_connector.errors import BadInput

AT_ONCE = min(8, os.cpu_count() or 1)  # of what is asked: others use a login node too

Item = TypeVar("Item")
Found = TypeVar("Found")


def ask_each(
    ask: Callable[[Item], Found], items: Sequence[Item]
) -> Generator[Found | BadInput, None, None]:
    """Yield what each of many is answered, or why not; a few are asked at once."""

    def ask_one(item: Item) -> Found | BadInput:
        try:
            return ask(item)
        except BadInput as error:
            return error

    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield from pool.map(ask_one, items)
    finally:  # also if the user ends it: what has not begun does not
        pool.shutdown(cancel_futures=True)


def get_cost(program: str, arguments: tuple[str, ...], site: Site) -> Cost:
    """Ask a program what a run will take; it checks the arguments as well.

    Raises
    ------
    BadInput
        There is no such program, or it refuses the arguments.
    """
    inside = get_container(site)
    if not inside and shutil.which(program) is None:
        raise BadInput(f"{program} is not installed: expected a program of this suite")
    done = subprocess.run(
        [*inside, program, *arguments, "--plan"], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise BadInput(" ".join(done.stderr.split()) or f"{program} --plan failed")
    found: dict[str, Any] = json.loads(done.stdout)
    return Cost(**found | {"reasons": tuple(found["reasons"])})
