"""What exceptions mean to a user: wrong input, and what is to be tried later."""


class BadInput(ValueError):
    """Input that cannot be used; the message says what, where and what was expected.

    Programs print the message on one line and end with exit code 2.
    """


class Later(Exception):
    """What cannot be done now, and may be later; the message says what.

    Programs print the message on one line and end with exit code 75, and a job is
    queued again.
    """


# What a stream, or another service, raises where it cannot be used, or not now
UNUSABLE = (BadInput, Later, OSError)
