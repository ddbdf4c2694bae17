"""Where a command has its token from: an open file, a command, the last login."""


def load_token(*, descriptor: int | None = None, command: str = "") -> str:
    """Return an access token of the user.

    Parameters
    ----------
    descriptor
        Open file with the token on its first line.
    command
        Prints the token; its words are split as a shell does, and no shell runs it.
        Without both, the token of ``keys login``, renewed if it ends.

    Raises
    ------
    BadInput
        There is none: log in.
    """
    raise NotImplementedError
