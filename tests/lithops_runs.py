"""How tests run what uses Lithops: in a process of its own, as a user would.

Lithops keeps jobs in TMPDIR and what it knows of Pythons in HOME, both read when it is
imported; so a test gives it folders of its own.
"""

import os
import subprocess
import sys

from programs import PATIENCE_S


def run_python(folder, *words, is_quiet=True, **variables):
    """Run Python with Lithops' files in a folder; return what it printed.

    It may not warn of anything, if it is to be quiet.
    """
    places = {"HOME": str(folder), "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | places | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not is_quiet or done.stderr == "", done.stderr
    return done.stdout
