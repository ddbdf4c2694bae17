"""What several tests share."""

import os
import shutil

import pytest


def require(program: str) -> str:
    """Return the path of a program; without it skip the test, or fail it in CI."""
    path = shutil.which(program)
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and in CI no test is skipped")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path
