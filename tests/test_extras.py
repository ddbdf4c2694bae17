"""What users install: each library that is imported is in the package or an extra."""

import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions

from wheel import ROOT

OURS = {"hpc_connector", "mdr_epistasis", "metabolite_annotation"}
NOT_FOR_USERS = {"test", "dev", "docs"}
BROUGHT_BY = {  # what another library needs itself, or is it under another name
    "botocore": "boto3",
    "dask": "spatialdata",
    "joblib": "lithops",
    "llvmlite": "numba",
    "nkeys": "nats-py",
    "pravega_client": "pravega",
    "threadpoolctl": "scikit-learn",
    "urllib3": "boto3",
}


def read_offered():
    """Return the distributions of install_requires and of the extras for users."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"].items()
    texts = [lines for name, lines in extras if name not in NOT_FOR_USERS]
    texts.append(setup["options"]["install_requires"])
    names = re.findall(r"^([\w.-]+)", "\n".join(texts), re.M)
    return {get_normal_name(name) for name in names}


def get_normal_name(name):
    return name.lower().replace("_", "-")


def list_imports(path):
    """Yield the first part of the name of each module that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def test_extras__have_each_library_that_is_imported():
    offered, distributions = read_offered(), packages_distributions()
    missing = set()
    for path in [*ROOT.glob("hpc_connector/**/*.py"), *ROOT.glob("apps/**/*.py")]:
        for name in set(list_imports(path)) - OURS - sys.stdlib_module_names:
            brought = BROUGHT_BY.get(name, name)
            of = {get_normal_name(d) for d in distributions.get(brought, [brought])}
            if not of & offered:
                missing.add((name, f"{path.relative_to(ROOT)}"))
    assert missing == set()
