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
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from s3 import find_port

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TUTORIALS = DOCS / "tutorials"
PAGES = ("epistasis", "annotation", "dataspace")
PORTS = ("8444", "8445")  # of pages, for which free ones stand in
BLOCK = re.compile(r"^```(console|python|output)\n(.*?)^```$", re.M | re.S)
IGNORED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@contextlib.contextmanager
def open_folder(folder):
    """Have pages run in a folder, as if it were that of a checkout.

    What they leave in the background (NAME.pid has its number) is ended.
    """
    for name in ("tests", "examples"):
        (folder / name).symlink_to(ROOT / name)
    own = folder / "run"  # of who logs in
    own.mkdir(mode=0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(own)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        for path in folder.glob("*.pid"):
            stop(int(path.read_text()), folder)


def stop(process, folder):
    """End a process, if it still is one that works in a folder."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if Path(f"/proc/{process}/cwd").resolve() == folder.resolve():
            os.kill(process, signal.SIGTERM)


def take_ports(text):
    """Return a page with ports that are free, in place of those that it names."""
    for port in PORTS:
        text = text.replace(port, str(find_port()))
    return text


def run_page(page):
    """Run the blocks of a page, as "howto/python", in the current folder.

    Commands begin with ``$``; below them stands what they print, and in a block
    ``output`` what the Python above prints, each with ``...`` for what may differ.
    """
    names, printed = {}, ""
    blocks = BLOCK.findall(take_ports((DOCS / f"{page}.md").read_text()))
    for kind, text in blocks:
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
        for page in PAGES:
            place = Path(folder, page)
            place.mkdir()
            with open_folder(place):
                run_page(f"tutorials/{page}")
                shutil.copy(f"{page}.svg", TUTORIALS)


if __name__ == "__main__":
    sys.exit(save_figures())
