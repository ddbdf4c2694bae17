"""What .ci/versions needs, which runs last: found missing before the suite has run."""

import configparser
import re
import subprocess

from conftest import require
from wheel import ROOT


def test_ci__scripts_are_clean():
    scripts = [path for path in (ROOT / ".ci").iterdir() if path.is_file()]
    subprocess.run([require("shellcheck"), *scripts], check=True)


def test_versions__names_tests_that_exist():
    script = (ROOT / ".ci/versions").read_text()
    words = re.search(r"tests=\((.*?)\)", script, re.DOTALL)[1].replace("\n", " ")
    expand = ["bash", "-c", f"printf '%s\\n' {words}"]
    named = subprocess.run(expand, capture_output=True, text=True, check=True).stdout
    for file, _, test in (name.partition("::") for name in named.split()):
        assert f"def {test}" in (ROOT / file).read_text()


def test_versions__tries_the_oldest_of_what_computes():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = setup["options"]["install_requires"].split("\n")
    bounded = {name.split(" >= ")[0] for name in needed if " >= " in name}
    assert {"h5py", "isal", "numba", "numpy", "pysam", "zstandard"} <= bounded


def test_version__is_said_alike():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    version = setup["metadata"]["version"]
    released = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    cited = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert (released[0], cited) == (version, [version])
