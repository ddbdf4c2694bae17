"""One run at a time in a folder: who holds it, and what is left by one that is over."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from annotation_runs import SMALL
from conftest import require
from hpc_connector import folder_lock
from hpc_connector.errors import BadInput
from hpc_connector.folder_lock import check_free, release_folder, take_folder
from hpc_connector.manifest import read_manifest
from mdr_epistasis.program import main
from programs import assert_same
