"""Passwords and keys that stand in a command or a variable for all to read."""

import re
from collections.abc import Iterator, Sequence

# Values that are none: to be filled in, taken from elsewhere, or where one is
ELSEWHERE = re.compile(
    r"\$|\ue000|\{\{|@@|<[^<>]+>|/|\./|~|fd:|file:|keeper:|env:|https?://[^@]*$|"
    r"(true|false|yes|no|none|null|on|off|auto|required|hw|sim)$",
    re.IGNORECASE,
)
IN_URL = re.compile(r"://[^/?#\s:@]*:(?P<password>[^/?#\s@]+)@")
WELL_KNOWN = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|"
    r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}"
)
PASSWORD = re.compile(
    r"(^|[_.-])(password|passwd|passphrase|pwd|secret|token|credentials?|"
    r"api[_-]?key|access[_-]?key|secret[_-]?key|[a-z]*pass|[a-z]*password)$",
    re.IGNORECASE,
)
KEY = re.compile(r"(^|[_.-])[a-z]*key$", re.IGNORECASE)
LONG = re.compile(r"[0-9A-Fa-f]{32,}|(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/_-]{24,}={0,2}")
NOT_SECRET = ("PWD", "OLDPWD")
MOST_CHARACTERS = 4096  # that are looked at


def is_secret(name: str, value: str) -> bool:
    """Return whether the value of a variable, or of an option, looks like a secret.

    Parameters
    ----------
    name
        Of the variable, or of the option with its dashes; empty for a word alone.

    Examples
    --------
    >>> is_secret("BROKER", "amqp://me:hunter2@broker"), is_secret("--key", "me.sec")
    (True, False)
    """
    value = value[:MOST_CHARACTERS]
    inside = IN_URL.search(value)
    if inside and not ELSEWHERE.match(inside["password"]):
        return True
    if WELL_KNOWN.search(value):
        return True
    bare = name.strip("-")
    if not value or ELSEWHERE.match(value) or bare in NOT_SECRET:
        return False
    if KEY.search(bare) and not PASSWORD.search(bare):
        return LONG.fullmatch(value) is not None
    return PASSWORD.search(bare) is not None


def list_options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the words of a command, each with the name of what it is the value of.

    Examples
    --------
    >>> list(list_options(["run", "--to", "me", "--by=you"]))
    [('', 'run'), ('--to', 'me'), ('--by', 'you')]
    """
    before = ""
    for word in words:
        name, equals, value = word.partition("=")
        if equals and (name.startswith("-") or re.fullmatch(r"\w+", name)):
            yield name, value
        elif not word.startswith("-"):
            yield before, word
        before = word if word.startswith("--") and not equals else ""
