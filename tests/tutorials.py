"""Run the pages of the documentation that are to be typed: every block, in order.

``python tests/tutorials.py`` draws the figures of the tutorials again, and puts them
beside the pages.
"""

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TUTORIALS = DOCS / "tutorials"
PAGES = ("epistasis", "annotation")
BLOCK = re.compile(r"^```(console|python|output)\n(.*?)^```$", re.M | re.S)
IGNORED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_page(page):
    """Run the blocks of a page, as "howto/python", in the current folder.

    Commands begin with ``$``; below them stands what they print, and in a block
    ``output`` what the Python above prints, each with ``...`` for what may differ.
    """
    names, printed = {}, ""
    for kind, text in BLOCK.findall((DOCS / f"{page}.md").read_text()):
        if kind == "console":
            for command in re.split(r"^\$ ", text, flags=re.M)[1:]:
                run_command(command)
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(compile(text, f"{page}.md", "exec"), names)
            printed = stream.getvalue()
        else:
            check_printed(text, printed)


def run_command(text):
    """Run a command, of one or more lines, and check what it prints."""
    line = re.match(r"(.*\\\n)*.*\n", text)[0]
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, f"{line}{done.stderr}"
    check_printed(text.removeprefix(line), done.stdout)


def check_printed(expected, printed):
    """Check what was printed against what the page shows."""
    is_alike = doctest.OutputChecker().check_output(expected, printed, IGNORED)
    assert is_alike, f"the page shows\n{expected}and there is\n{printed}"


def save_figures():
    """Write the figures of all tutorials beside their pages."""
    import matplotlib

    matplotlib.use("agg")
    # the same bytes each time, without a date
    matplotlib.rcParams["svg.hashsalt"] = "docs"
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(ROOT / "tests", f"{folder}/tests")
        os.chdir(folder)
        for page in PAGES:
            run_page(f"tutorials/{page}")
            shutil.copy(f"{page}.svg", TUTORIALS)


if __name__ == "__main__":
    sys.exit(save_figures())
