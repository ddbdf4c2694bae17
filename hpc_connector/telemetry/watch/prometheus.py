"""The figures of a node as text for the textfile collector of Prometheus."""

import os
from typing import Any

from hpc_connector.telemetry.watch.ranks import Rank

RANK_METRICS = (
    ("cpu_seconds_total", "counter", "CPU time of a rank.", "cpu_s"),
    ("resident_memory_bytes", "gauge", "Memory of a rank now.", "rss_bytes"),
    ("peak_memory_bytes", "gauge", "Highest memory of a rank.", "peak_bytes"),
    ("read_bytes_total", "counter", "Bytes read from storage.", "read_bytes"),
    ("written_bytes_total", "counter", "Bytes written to storage.", "write_bytes"),
)
NODE_METRICS = (
    ("cpu_seconds_total", "counter", "CPU time of the job on a node.", "cpu_s"),
    ("resident_memory_bytes", "gauge", "Memory of the job now.", "rss_bytes"),
    ("peak_memory_bytes", "gauge", "Highest memory of the job.", "peak_bytes"),
    ("read_bytes_total", "counter", "Bytes read from storage.", "read_bytes"),
    ("written_bytes_total", "counter", "Bytes written to storage.", "write_bytes"),
    ("network_receive_bytes_total", "counter", "Bytes received.", "net_rx_bytes"),
    ("network_transmit_bytes_total", "counter", "Bytes sent.", "net_tx_bytes"),
    ("energy_joules_total", "counter", "Energy of the node.", "energy_j"),
)


def format_metrics(
    labels: dict[str, str], node: dict[str, Any], ranks: list[Rank]
) -> str:
    """Return the text of all metrics; what is not known has no line.

    Parameters
    ----------
    labels
        jobid, step and node.
    node
        Figures of the whole node, as a row of the telemetry has them.
    """
    common = ",".join(f'{name}="{escape(text)}"' for name, text in labels.items())
    lines = []
    for name, kind, said, key in NODE_METRICS:
        by = "energy_source" if key == "energy_j" else "source"
        series = [(f'{common},source="{node[by]}"', node[key])]
        lines += format_metric(f"hpcc_node_{name}", kind, said, series)
    for name, kind, said, key in RANK_METRICS:
        numbered = [(rank, rank.number or 0) for rank in ranks]
        series = [(f'{common},rank="{k}"', getattr(r, key)) for r, k in numbered]
        lines += format_metric(f"hpcc_rank_{name}", kind, said, series)
    return "".join(lines)


def format_metric(
    name: str, kind: str, said: str, series: list[tuple[str, Any]]
) -> list[str]:
    """Return the lines of a metric whose series have labels and a value.

    Parameters
    ----------
    name, kind, said
        Of the metric: its name, "gauge" or "counter", and its help.
    series
        Pairs of labels and value; those of None are left out.
    """
    lines = [f"{name}{{{labels}}} {v}\n" for labels, v in series if v is not None]
    return [f"# HELP {name} {said}\n# TYPE {name} {kind}\n", *lines] if lines else []


def escape(text: str) -> str:
    """Return the value of a label as the format wants it."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def save_metrics(path: str, text: str) -> None:
    """Write a file that is seen whole or not at all: a scrape may come at any time."""
    with open(f"{path}.partial", "w") as stream:
        stream.write(text)
    os.replace(f"{path}.partial", path)
