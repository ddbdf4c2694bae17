"""Levels of evidence, and the words for what each proves: never for more than that."""

from typing import NamedTuple

FROM_FILE = "the key of a reader, from a file"


class Level(NamedTuple):
    """What was proved before a key was given, whom that keeps out, and whom not."""

    proof: str
    keeps_out: str
    not_out: str


LEVELS = (
    Level("an access token and its role", "the wrong user", "anybody else"),
    Level(
        "the user and the running job, by MUNGE and Slurm, and the code as the job "
        "itself measured it",
        "code changed by mistake, and who has a stolen script, copied files or backups",
        "root on a node, who can lie and read memory",
    ),
    Level(
        "the user, the running job and its measured code, and by a quote of its TPM "
        "how each node of the job was booted",
        "also a node that was not booted as approved",
        "root on a node after that",
    ),
    Level(
        "the user and the running job, and by a quote of its processor that each node "
        "of the job runs an approved enclave",
        "also the administrator of a node, as far as the processor holds",
        "who watches side channels, or stops the job",
    ),
)
MOST_LEVEL = len(LEVELS) - 1


def describe_level(level: int, *, from_file: bool = False) -> str:
    """Return the sentence that says what a level of evidence proved.

    Parameters
    ----------
    from_file
        Whether the key was in a file: then nothing was proved to anybody.

    Raises
    ------
    ValueError
        There is no such level, or a key from a file is said to have one above 0.

    Examples
    --------
    >>> describe_level(0, from_file=True)
    'Evidence level 0: the key of a reader, from a file. It keeps out who has no key; \
not anybody else.'
    """
    most = 0 if from_file else MOST_LEVEL
    if not 0 <= level <= most:
        raise ValueError(f"level {level}: expected 0 to {most}")
    proof, keeps_out, not_out = LEVELS[level]
    if from_file:
        proof, keeps_out = FROM_FILE, "who has no key"
    return f"Evidence level {level}: {proof}. It keeps out {keeps_out}; not {not_out}."
