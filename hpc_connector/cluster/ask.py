"""Ask a program what a run will take."""

import json
import shutil
import subprocess
from typing import Any

from hpc_connector.allocation import Cost
from hpc_connector.cluster.site import Site, get_container
from hpc_connector.errors import BadInput


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
