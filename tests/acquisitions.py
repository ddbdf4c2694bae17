"""Acquisitions for tests: datasets as records, and what is left of two runs."""

import re
from pathlib import Path

from hpc_connector.loader.spectra.acquired.head import KEY, write_head
from hpc_connector.loader.spectra.acquired.points import pack_point
from hpc_connector.loader.spectra.acquired.replay import make_head, read_points
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.streams.open import open_stream

OF_A_RUN = (  # rows of the facts that a page has of its run
    "started|finished|command|version|dataset|every|"
    "time to the first task|wall time|processor time|processor time of tasks|"
    "greatest memory of a rank|ranks|nodes|threads"
)


def make_records(imzml):
    """Return keys and values of all records of a dataset, the head first."""
    found = read_imzml(str(imzml))
    head = make_head(found, Path(imzml).stem)
    points = [pack_point(head, point) for point in read_points(found)]
    return [(KEY, write_head(head)), *points]


def send(url, records, *, seal=True):
    """Append records to a stream, which is made; return its URL."""
    with open_stream(url) as stream:
        stream.create(1)
        stream.append_many(0, records)
        if seal:
            stream.seal()
    return url


def read_results(out):
    """Return the bytes of the results of a run, but for facts of the run in its page.

    Those are times, what was used, the command, and the rows of its inputs.
    """
    names = ["annotations.tsv", "results.h5"]
    found = {name: (out / name).read_bytes() for name in names}
    found |= {path.name: path.read_bytes() for path in (out / "images").iterdir()}
    page = (out / "report.html").read_text()
    page = re.sub(f"<dt>({OF_A_RUN})</dt><dd>.*</dd>\n", "", page)
    page = re.sub(
        r"<tr><td>.*</td><td>.*</td><td><code>.*</code></td></tr>\n?", "", page
    )
    return found | {"report.html": page}
