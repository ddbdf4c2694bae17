"""What is refused to who asks: a token, a release, evidence."""

from hpc_connector.errors import BadInput


class Refused(BadInput):
    """Says by one word which check failed first, and never what was shown to it.

    Parameters
    ----------
    word
        Which check; programs tell refusals apart by it.
    reason
        What was expected, for people.
    again
        The same may be granted in a moment.
    """

    def __init__(self, word: str, reason: str, *, again: bool = False) -> None:
        super().__init__(f"{word}: {reason}")
        self.word, self.reason, self.again = word, reason, again
