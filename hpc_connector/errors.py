"""The one exception that means the user's input is wrong."""


class BadInput(ValueError):
    """Input that cannot be used; the message says what, where and what was expected.

    Programs print the message on one line and end with exit code 2.
    """
