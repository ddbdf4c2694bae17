"""Telemetry as other samplers write it, and as disks leave it: said, never made up."""

import json
import re

import pytest

from hpc_connector.commands.main import main

HEAD = "time_s,elapsed_s,node,rank,cpu_s,rss_bytes\n"
GB = 10**9
RANKS = (0, 1)


def make_rows(ranks=(-1, *RANKS), rss=2 * GB, head=HEAD, line="{},{},n1,{},{},{}\n"):
    """Return 30 samples, of a node that has what its two ranks have."""
    text = head
    for k in range(30):
        for rank in ranks:
            each = rss if rank >= 0 else 2 * rss
            used = f"{0.9 * k * (2 if rank < 0 else 1):.2f}"
            text += line.format(f"{1.7e9 + k:.3f}", f"{k}.000", rank, used, each)
    return text


def inspect(folder, capsys, *options):
    """Return exit code, what was printed and what was said of a run's telemetry."""
    code = main(["inspect", str(folder), *options])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def test_inspect__without_rows_of_the_node_adds_its_ranks(tmp_path, capsys):
    write(tmp_path, {"telemetry/n1.csv": make_rows(RANKS)})
    code, out, _ = inspect(tmp_path, capsys, "--json")
    (node,) = (summary := json.loads(out))["nodes"]
    assert (code, summary["peak_bytes"], node["wall_s"]) == (0, 4 * GB, 29)
    assert (node["cpu_s"], summary["utilisation"]) == (52.2, 0.9)
    assert "A node needed 3.73 GiB at most" in " ".join(summary["advice"])
    assert "there are no rows of the node (rank -1)" in summary["notes"][0]
    assert "More than" not in summary["efficiency"]["cores"]["said"]
    page = tmp_path / "page.html"
    assert inspect(tmp_path, capsys, "--html", str(page))[0] == 0
    assert main(["telemetry", "collect", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["peak_bytes"] == 4 * GB


@pytest.mark.parametrize("rank", [(-1, *RANKS), RANKS, (-1,)])
def test_inspect__of_zeros_advises_no_memory(rank, tmp_path, capsys):
    write(tmp_path, {"telemetry/n1.csv": make_rows(rank, rss=0)})
    code, out, _ = inspect(tmp_path, capsys)
    assert code == 0
    assert "No memory was seen in use" in out
    assert "--mem=" not in out


@pytest.mark.parametrize(
    "text",
    [
        make_rows(line="{},{},n1,{},{},{}\n").replace(".", ","),
        make_rows().replace(",n1,", ";n1;").replace(".000,", ".000;"),
        make_rows(line="{}\t{}\tn1\t{}\t{}\t{}\n"),
        make_rows(line="{},{},n1,{},{}\n"),
        make_rows(line="{},{},,{},{},{}\n"),
        make_rows(line="{},{},n1,{},{},nan{}\n"),
        HEAD + "null\n[]\n3\n",
        HEAD + "\0" * 999,
    ],
)
def test_inspect__names_a_file_of_other_numbers(text, tmp_path, capsys):
    write(tmp_path, {"telemetry/n1.csv": text})
    code, _, err = inspect(tmp_path, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "n1.csv: " in err
    assert "lines are cut or hold no sample: none has a value for each name" in err
    assert main(["telemetry", "collect", str(tmp_path)]) == 2
    assert capsys.readouterr().err == err
    assert not list(tmp_path.glob("telemetry/*parquet*"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HEAD, "n1.csv: there is no line behind that of the names of columns"),
        (b"", "n1.csv: expected the columns time_s"),
        (b"null\n", "n1.csv: expected the columns time_s"),
        (b"\x7fELF\x02\x01" + bytes(range(256)) * 99, "n1.csv: expected the columns"),
        (HEAD.replace(",", ";"), "with commas between; the first line is 'time_s;elap"),
        (HEAD.replace("rss_bytes", "rss"), "there is no rss_bytes"),
    ],
)
def test_inspect__names_a_file_that_is_none(data, said, tmp_path, capsys):
    write(tmp_path, {"telemetry/n1.csv": data})
    code, _, err = inspect(tmp_path, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


ANYTHING = ["null", "[]", "3", "", '"x"', "{}", "[" * 99999, b"\xff\xfe\0", "{"]
ANYTHING += ['{"ranks": null, "notes": null}', '{"ranks": [null, 3], "notes": [3]}']
ANYTHING += ['{"ranks": [{}, {"rank": "x"}, {"rank": 0, "cpu_s": "y"}], "notes": {}}']
ANYTHING += ['{"ranks": [{"rank": 0, "pid": null, "cpu_s": NaN}], "agent": []}']


@pytest.mark.parametrize("data", ANYTHING)
def test_inspect__without_totals_that_are_none(data, tmp_path, capsys):
    write(tmp_path, {"telemetry/n1.csv": make_rows(), "telemetry/n1.json": data})
    code, out, _ = inspect(tmp_path, capsys, "--json")
    summary = json.loads(out)
    assert (code, summary["peak_bytes"]) == (0, 4 * GB)
    assert [rank["cpu_s"] for rank in summary["ranks"]] == [26.1, 26.1]
    assert main(["telemetry", "collect", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["ranks"] == summary["ranks"]


@pytest.mark.parametrize("data", ANYTHING)
def test_inspect__of_a_manifest_or_forecast_of_anything(data, tmp_path, capsys):
    files = {"telemetry/n1.csv": make_rows(), "telemetry/forecast.json": data}
    code, out, _ = inspect(write(tmp_path, files), capsys)
    assert (code, "--mem=4285M" in out) == (0, True)
    code, _, err = inspect(write(tmp_path, {"manifest.json": data}), capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "manifest" in err


@pytest.mark.parametrize("found", [None, [], 3, "x", {}, [None], [[]], {"threads": 0}])
def test_inspect__of_a_manifest_with_anything_in_it(found, tmp_path, capsys):
    record = {"format_version": 1, "resources": found, "slurm": found}
    files = {"telemetry/n1.csv": make_rows(), "manifest.json": json.dumps(record)}
    code, out, _ = inspect(write(tmp_path, files), capsys)
    assert (code, "--mem=4285M" in out) == (0, True)


def test_inspect__says_which_of_two_files_is_left_out(tmp_path, capsys):
    files = {"n1": make_rows(), "n2": make_rows().replace(".", ",")}
    write(tmp_path, {f"telemetry/{name}.csv": text for name, text in files.items()})
    code, out, _ = inspect(tmp_path, capsys)
    assert code == 0
    assert re.search(r"n2\.csv: 90 of 90 lines are cut", out)


def test_inspect__of_a_column_that_is_missing_here_and_there(tmp_path, capsys):
    rows = make_rows(
        head=HEAD.replace("\n", ",peak_bytes\n"), line="{},{},n1,{},{},{},\n"
    )
    code, out, _ = inspect(write(tmp_path, {"telemetry/n1.csv": rows}), capsys)
    assert (code, "--mem=4285M" in out) == (0, True)
