"""Options of sbatch that are passed through."""

import re
import shlex

from hpc_connector.errors import BadInput

INSTEAD = {  # of what is not passed through
    "account": "use --account of submit",
    "array": "use --array of submit",
    "chdir": "submit from that folder",
    "cpus-per-task": "use --cpus-per-task of submit",
    "dependency": "use --dependency of submit",
    "export": "use --export of submit",
    "job-name": "the job is called as its program",
    "mem": "use --mem of submit",
    "mem-per-cpu": "use --mem of submit, and CONNECTOR_MEM=per-cpu in the site file",
    "no-requeue": "a run that is stopped is queued again",
    "nodes": "use --nodes of submit",
    "ntasks": "use --ntasks of submit",
    "ntasks-per-node": "use --ntasks-per-node of submit",
    "open-mode": "attempts of a job write to one file",
    "output": "it is written to PROGRAM-JOB.out",
    "partition": "use --partition of submit",
    "qos": "use --qos of submit",
    "requeue": "a run that is stopped is queued again",
    "signal": "use --warn of submit",
    "tasks-per-node": "use --ntasks-per-node of submit",
    "test-only": "use --check of submit",
    "time": "use --time of submit",
    "wait": "use --dependency of what comes after it",
    "wrap": "say the program behind the options of submit",
}
FLAGS = re.compile("^-[HIkOQsVv]*")  # short ones without a value, which may be joined
SHORT = {"A": "account", "a": "array", "c": "cpus-per-task", "D": "chdir"}
SHORT |= {"d": "dependency", "J": "job-name", "N": "nodes", "n": "ntasks"}
SHORT |= {"o": "output", "p": "partition", "q": "qos", "t": "time", "W": "wait"}


def check_options(text: str) -> str:
    """Return options of sbatch as a line of a script has them.

    Raises
    ------
    BadInput
        None, or one that submit sets itself.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"--sbatch {text!r}: {error}") from None
    if not words or not words[0].startswith("-") or "\n" in text:
        raise BadInput(f"--sbatch {text!r}: expected such as --constraint=perf")
    for word in words:
        name = find_own(word)
        if name:
            raise BadInput(
                f"--sbatch {text!r}: --{name} cannot be passed through: {INSTEAD[name]}"
            )
    return text.strip()


def find_own(word: str) -> str:
    """Return the option of ``INSTEAD`` that a word is, which sbatch may abbreviate.

    Examples
    --------
    >>> find_own("--part=gpp"), find_own("-HN2"), find_own("--nodelist=n1")
    ('partition', 'nodes', '')
    """
    if word.startswith("--"):
        given = word[2:].partition("=")[0]
        return next((n for n in sorted(INSTEAD) if given and n.startswith(given)), "")
    short = FLAGS.sub("", word)
    return SHORT.get(short[:1], "") if word.startswith("-") else ""
