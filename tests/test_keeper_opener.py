"""A run whose key is a keeper's: what it opens, how it ends where it cannot."""

import logging
import os
import socket
import subprocess
import sys
import threading

import pytest

from hpc_connector.commands.main import main
from hpc_connector.confidential.evidence.measurement import measure
from hpc_connector.confidential.keeper import client, opener
from hpc_connector.confidential.keeper.database import bind_grant, revoke
from hpc_connector.confidential.keeper.state import get_run_key
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest
from hpc_connector.options import KeyOptions
from keepers import (
    CLUSTER,
    GOLDEN,
    JOB,
    NODE,
    assert_hidden,
    make_grant,
    run_with_cohort,
    write_job,
)
from mdr_epistasis.program import main as mdr
from programs import PATIENCE_S

IN_JOB = {
    "SLURM_JOB_ID": JOB,
    "SLURM_CLUSTER_NAME": CLUSTER,
    "SLURMD_NODENAME": NODE,
}
AWAY = """\
import sys
from hpc_connector.confidential.keeper import client
from mdr_epistasis.program import main
client.PAUSES_S = (0.0,) * 4
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    """Return a keeper that serves the cohort to the code that runs here."""
    with run_with_cohort(tmp_path_factory.mktemp("keeper"), [measure()]) as running:
        yield running


@pytest.fixture
def in_job(keeper, monkeypatch):
    """Have this process be the job that Slurm knows."""
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    for name, value in IN_JOB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_FILE", str(keeper.folder / "keeper.pem"))


def make_command(keeper, grant, out, url=""):
    key = f"keeper:{url or keeper.url}"
    words = ["run", GOLDEN / "cohort.bed.c4gh", "--key", key, "--grant", grant]
    return [*map(str, words), "--out", str(out), "--quiet"]


def test_run__opened_by_a_keeper(keeper, in_job, tmp_path, caplog, capsys):
    grant = make_grant(keeper)
    caplog.set_level(logging.DEBUG)
    assert mdr(make_command(keeper, grant, tmp_path / "out")) == 0
    plain = ["run", str(GOLDEN / "cohort.bed"), "--out", str(tmp_path / "plain")]
    assert mdr(plain) == 0
    expected = (tmp_path / "plain/models.tsv").read_bytes()
    assert (tmp_path / "out/models.tsv").read_bytes() == expected
    told = read_manifest(tmp_path / "out")["confidential"]
    assert (told["grant"], told["keeper"]) == (grant, keeper.url)
    assert told["evidence"] == 1
    key = get_run_key(keeper.keeper, grant).private_bytes_raw()
    secrets = {"run key": key, "keeper": keeper.keeper.key.private_bytes_raw()}
    said = capsys.readouterr()
    assert_hidden(secrets, (caplog.text + said.out + said.err).encode(), "the log")


def test_run__goes_on_by_the_key_of_its_grant(keeper, in_job, tmp_path, monkeypatch):
    """The ledger is for its readers, and for the next start of the same job alone."""
    grant = make_grant(keeper)
    words = make_command(keeper, grant, tmp_path / "out")
    words += ["--encrypt-to", str(GOLDEN / "keys/owner.pub")]
    assert mdr(words) == 0
    (tmp_path / "out/models.tsv.c4gh").unlink()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    write_job(keeper.folder, restarts=1)
    try:
        assert mdr([*words, "--resume"]) == 0
        assert (tmp_path / "out/models.tsv.c4gh").exists()
    finally:
        write_job(keeper.folder)


@pytest.mark.parametrize("case", ["revoked", "program", "restart"])
def test_run__refused_by_the_keeper(
    case, keeper, in_job, tmp_path, monkeypatch, capsys
):
    told = {"program": "metabolite-annotation"} if case == "program" else {}
    grant = make_grant(keeper, **told)
    if case == "revoked":
        revoke(keeper.keeper.database, grant)
    if case == "restart":
        monkeypatch.setenv("SLURM_RESTART_COUNT", "5")
    assert mdr(make_command(keeper, grant, tmp_path / "out")) == 2
    said = {
        "revoked": "refuses: grant: revoked: hpc-connector keys grant makes one",
        "program": "refuses: program: expected metabolite-annotation",
        "restart": "refuses: job: restarted 0 times",
    }
    assert said[case] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_run__waits_for_its_grant_to_be_bound(keeper, in_job, tmp_path, monkeypatch):
    grant = make_grant(keeper, "")
    asked = threading.Event()
    monkeypatch.setattr(opener, "PAUSE_S", 0.05)
    monkeypatch.setattr(opener.logger, "info", lambda *_: asked.set())

    def bind():
        assert asked.wait(PATIENCE_S)
        bind_grant(keeper.keeper.database, grant, CLUSTER, JOB)

    thread = threading.Thread(target=bind)
    thread.start()
    try:
        assert mdr(make_command(keeper, grant, tmp_path / "out")) == 0
    finally:
        asked.set()
        thread.join()


def test_run__of_what_has_no_seal(keeper, in_job, tmp_path, capsys):
    for ending in ("bed", "bim", "fam"):
        name = f"cohort.{ending}.c4gh"
        (tmp_path / name).write_bytes((GOLDEN / name).read_bytes())
    words = make_command(keeper, make_grant(keeper), tmp_path / "out")
    words[1] = str(tmp_path / "cohort.bed.c4gh")
    assert mdr(words) == 2
    assert (
        "without a seal beside it a keeper does not know it" in capsys.readouterr().err
    )


def test_run__needs_a_job_and_a_grant(keeper, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    words = make_command(keeper, "0" * 16, tmp_path / "out")
    assert mdr(words) == 2
    assert "expected hpc-connector submit --grant" in capsys.readouterr().err
    at = words.index("--grant")
    assert mdr(words[:at] + words[at + 2 :]) == 2
    assert "expected --grant" in capsys.readouterr().err
    words[words.index("--key") + 1] = "keeper:http://127.0.0.1"
    assert mdr(words) == 2
    assert "expected https://HOST:PORT" in capsys.readouterr().err


def test_run__trusts_no_certificate_it_does_not_know(
    keeper, in_job, tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("SSL_CERT_FILE")
    assert mdr(make_command(keeper, "0" * 16, tmp_path / "out")) == 2
    assert "of an authority that OpenSSL trusts here" in capsys.readouterr().err


@pytest.fixture
def away(monkeypatch):
    """Return the address of a keeper that is not there, which is not waited for."""
    monkeypatch.setattr(client, "PAUSES_S", (0.0,) * 4)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"https://127.0.0.1:{port}"


def test_run__in_a_job_while_the_keeper_is_away(
    away, keeper, in_job, tmp_path, caplog, capsys
):
    words = make_command(keeper, "0" * 16, tmp_path / "out", away)
    caplog.set_level(logging.INFO)
    assert mdr(words) == 75
    assert caplog.text.count("asked again") == len(client.PAUSES_S)
    said = capsys.readouterr().err.splitlines()[-1]
    assert "the job is to be queued again" in said


def test_keys_grant__while_the_keeper_is_away(away, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    words = ["keys", "grant", "cohort-1", "--keeper", away, "--program", "x"]
    assert main([*words, "--token-command", "echo a.b.c"]) == 2
    assert "does not answer" in capsys.readouterr().err.splitlines()[-1]


def test_run__no_rank_hangs_while_the_keeper_is_away(away, keeper, in_job, tmp_path):
    words = make_command(keeper, "0" * 16, tmp_path / "out", away)
    command = ["mpirun", "-n", "2", sys.executable, "-c", AWAY, *words]
    done = subprocess.run(
        command, env=os.environ, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 75, done.stderr


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"nonce": 1, "uid": 0},
        {"nonce": "é", "uid": 0},
        {"nonce": "AA==", "uid": "0"},
        {"nonce": "AA==", "uid": 0, "run_key": "AA=="},
    ],
)
def test_open_by_keeper__of_what_is_none(answer, monkeypatch):
    """Another server may answer JSON too."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setattr(opener, "exchange", lambda *_: answer)
    monkeypatch.setattr(opener, "make_credential", lambda *_: "MUNGE:x:")
    options = KeyOptions(key="keeper:https://127.0.0.1:1", grant="0" * 16)
    with pytest.raises(BadInput):
        opener.open_by_keeper("https://127.0.0.1:1", options)
