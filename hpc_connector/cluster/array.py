"""An array of jobs: a program run once for each dataset of a list."""

import shlex
from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.manifest import find_out

Arguments = tuple[str, ...]


def list_arguments(words: Arguments, path: Path | None) -> tuple[Arguments, ...]:
    """Return the arguments of a program, of each element of an array.

    Parameters
    ----------
    path
        A list of datasets, one a line; None for a single job.

    Raises
    ------
    BadInput
        An array without datasets, or whose runs would share a folder.
    """
    if path is None:
        return (words,)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None
    datasets = [line.strip() for line in lines if line.strip()]
    runs = [tuple(fill(word, d) for word in words) for d in datasets]
    if not runs or len({find_out(list(run)) for run in runs}) < len(runs):
        raise BadInput(
            f"{path}: expected datasets, one a line, each with an --out of its "
            "own: {name} stands for its name"
        )
    return tuple(runs)


def fill(word: str, dataset: str) -> str:
    """Return an argument in which a dataset stands for {}, its bare name for {name}."""
    name = Path(dataset).name.split(".")[0]
    return word.replace("{name}", name).replace("{}", dataset)


def format_indices(n_elements: int, most_at_once: int) -> str:
    """Return the indices of an array as sbatch takes them, empty for a single job."""
    if n_elements == 1:
        return ""
    most = f"%{most_at_once}" if most_at_once else ""
    return f"0-{n_elements - 1}{most}"


def format_arguments(arguments: tuple[Arguments, ...]) -> list[str]:
    """Return the lines of shell that set the arguments of an element, if any."""
    if not arguments:
        return []
    if len(arguments) == 1:
        return [f"set -- {shlex.join(arguments[0])}"]
    cases = [f"{k}) set -- {shlex.join(words)} ;;" for k, words in enumerate(arguments)]
    return ['case "$SLURM_ARRAY_TASK_ID" in', *cases, "esac"]
