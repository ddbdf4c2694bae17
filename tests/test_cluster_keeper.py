"""Encrypted runs under a real Slurm: granted, released to a job, queued again."""

import json
import os
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from held_runs import hold
from hpc_connector.catalogue import lookup
from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.gather import About, add
from hpc_connector.commands.main import main
from hpc_connector.confidential.evidence.measurement import measure
from hpc_connector.confidential.files import read_start
from hpc_connector.confidential.identity.claims import ROLE
from hpc_connector.confidential.keeper.log import name_public, verify_log
from hpc_connector.confidential.keeper.settings import read_settings
from hpc_connector.confidential.keeper.state import get_run_key, open_keeper
from hpc_connector.confidential.keys import load_key, load_trusted
from hpc_connector.crypt4gh.header import read_header
from hpc_connector.manifest import read_manifest
from keepers import (
    GOLDEN,
    assert_hidden,
    encrypt_cohort,
    run_issuer,
    write_settings,
)
from mdr_epistasis.program import main as mdr
from slurm_jobs import ask, simulate_slow, wait, wait_for_end, wait_for_ledger

ADDRESS = "10.77.0.254"  # of this machine, as the nodes see it
URL = f"https://{ADDRESS}:8443"
LIFE_S = 3600  # of the token, which all tests here share
SIZE = ["--mem", "900M", "--time", "10", "--ntasks-per-node", "2", "--telemetry"]
SLOW = ["--permutations", "1000", "--top", "20"]  # some 3 to 7 s of one core

pytestmark = pytest.mark.usefixtures("cluster", "own_cache")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return the path of a cohort that is there plain, and encrypted for the keeper."""
    path = simulate_slow(tmp_path_factory.mktemp("cohort") / "slow")
    encrypt_cohort(path.removesuffix(".bed"))
    return Path(path)


@pytest.fixture(scope="module")
def keeper(cohort, tmp_path_factory):
    """Have ``hpc-connector keeper run`` serve the cohort; return its folder."""
    folder = tmp_path_factory.mktemp("keeper")
    with ExitStack() as stack:
        issuer, make_token = stack.enter_context(run_issuer(folder / "issuer", LIFE_S))
        listen = f"{ADDRESS}:8443"
        config = write_settings(folder, issuer, "", os.geteuid(), [measure()], listen)
        text = config.read_text().replace('socket = ""\n', "")
        text = text.replace("[oidc]", f"[oidc]\nmost_life_s = {LIFE_S}")
        config.write_text(text)
        files = [f"{cohort.with_suffix(end)}.c4gh" for end in (".bed", ".bim", ".fam")]
        assert main(["keeper", "add", "cohort-1", *files, "--config", str(config)]) == 0
        (folder / "token").write_text(make_token("nd-role", "cohort-1"))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SSL_CERT_FILE", str(folder / "keeper.pem"))
        command = ["hpc-connector", "keeper", "run", "--config", config]
        with open(folder / "said.out", "w") as said:
            server = subprocess.Popen(command, stderr=said, stdout=said)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        said = folder / "said.out"
        wait(lambda: "keeper on https" in said.read_text(), folder)
        yield folder
    log = folder / "keeper.log"
    (public,) = load_trusted([name_public(log)])
    assert verify_log(log, public, folder / "checkpoints") > 5


def call(keeper, *words, cwd=None):
    """Run a command by the token of the user; return what it prints."""
    token = ["--token-command", f"cat {keeper / 'token'}"]
    command = ["hpc-connector", *words[:2], *token, *words[2:]]
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def submit(keeper, name, folder, *more, options=()):
    """Submit an encrypted search by a new grant; return the job and the grant."""
    asked = ["--keeper", URL, "--program", "mdr-epistasis"]
    grant = call(keeper, "keys", "grant", "cohort-1", *asked)
    run = ["mdr-epistasis", "run", name, "--key", f"keeper:{URL}", *more]
    words = ["--grant", grant, *options, *SIZE, *run, "--out", folder / "out"]
    return call(keeper, "submit", "--warn=60", *words, cwd=folder), grant


def list_events(keeper, grant):
    """Return what the keeper's log says of a grant."""
    text = (keeper / "keeper.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["grant"] == grant]


def watch_processes(found, is_over):
    """Collect environments and command lines of all processes while a job runs."""
    while not is_over.wait(0.05):
        for name in ("environ", "cmdline"):
            for path in Path("/proc").glob(f"[0-9]*/{name}"):
                try:
                    data = path.read_bytes()
                except OSError:
                    continue
                found.setdefault(data, str(path))


@pytest.fixture(scope="module")
def ran(keeper, cohort, tmp_path_factory):
    """Run an encrypted search that is queued again in its middle, and watch it."""
    folder = tmp_path_factory.mktemp("ran")
    found, is_over = {}, threading.Event()
    watching = threading.Thread(target=watch_processes, args=(found, is_over))
    watching.start()
    try:
        owner = GOLDEN / "keys/owner.pub"
        more = [*SLOW, "--encrypt-to", owner]
        job, grant = submit(
            keeper, f"{cohort}.c4gh", folder, *more, options=hold(folder)
        )
        wait(lambda: list((folder / "out/ledger").glob("*.c4gh")), folder)
        script = ask("scontrol", "write", "batch_script", job, "-")
        ask("scontrol", "requeue", job)
        state, said = wait_for_end(job, folder)
    finally:
        is_over.set()
        watching.join()
    assert state == "COMPLETED", said
    return folder, job, grant, script, found


def test_submit__an_encrypted_run_that_is_queued_again(ran, keeper, cohort, tmp_path):
    """The bytes are those of the plain run; the keeper was asked by each start."""
    folder, job, grant, _, _ = ran
    plain = tmp_path / "plain"
    assert mdr(["run", str(cohort), *SLOW, "--out", str(plain), "--quiet"]) == 0
    key = tmp_path / "owner.sec"
    key.write_bytes((GOLDEN / "keys/owner.sec").read_bytes())
    key.chmod(0o600)
    words = ["--key", str(key), "--out", str(tmp_path / "models.tsv")]
    assert main(["decrypt", str(folder / "out/models.tsv.c4gh"), *words]) == 0
    expected = (plain / "models.tsv").read_bytes()
    assert (tmp_path / "models.tsv").read_bytes() == expected
    told = read_manifest(folder / "out")["confidential"]
    assert (told["grant"], told["keeper"], told["evidence"]) == (grant, URL, 1)
    events = list_events(keeper, grant)
    assert [one["event"] for one in events[:2]] == ["grant", "bind"]
    starts = [one["job"] for one in events if one["event"] == "release"]
    assert set(starts) == {f"virtual/{job}/0", f"virtual/{job}/1"}
    said = "".join(path.read_text() for path in folder.glob("*.out"))
    assert "Evidence level 1" in said
    assert "no finished tasks" not in said


def list_secrets(keeper, cohort, grant):
    """Return all that nobody but the keeper, and the job in its memory, may know."""
    key = load_key(keeper / "keeper.sec")
    secrets = {"the keeper's key": key.private_bytes_raw()}
    for ending in (".bed", ".bim", ".fam"):
        with open(f"{cohort.with_suffix(ending)}.c4gh", "rb") as stream:
            header = read_header(read_start(stream, ending), key, ending)
        secrets[f"the session key of {ending}"] = header.session_keys[0]
    settings = read_settings(keeper / "keeper.toml")
    opened = open_keeper(settings, key)
    secrets["the key of the run"] = get_run_key(opened, grant).private_bytes_raw()
    opened.database.close()
    secrets["the token"] = (keeper / "token").read_bytes()
    return secrets


def test_submit__leaves_no_secret_anywhere(ran, keeper, cohort):
    folder, job, grant, script, processes = ran
    secrets = list_secrets(keeper, cohort, grant)
    assert_hidden(secrets, script.encode(), "the script")
    assert grant.encode() in script.encode()  # so that the hunt can find something
    said = ask("sacct", "--jobs", job, "--duplicates", "--format", "ALL", "--parsable2")
    assert job in said
    assert_hidden(secrets, said.encode(), "sacct")
    assert any(grant.encode() in data for data in processes)
    for data, path in processes.items():
        assert_hidden(secrets, data, path)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any("telemetry" in str(path) for path in files)
    files += [keeper / "keeper.log", keeper / "said.out", *keeper.glob("keeper.db*")]
    for path in files:
        assert_hidden(secrets, path.read_bytes(), path)


def test_submit__a_grant_that_is_revoked_while_its_job_runs(keeper, cohort, tmp_path):
    """What it has, it has; it is given nothing when it starts again."""
    held = hold(tmp_path)
    job, grant = submit(keeper, f"{cohort}.c4gh", tmp_path, *SLOW, options=held)
    wait_for_ledger(tmp_path)
    words = ["keeper", "revoke", grant, "--config", str(keeper / "keeper.toml")]
    assert main(words) == 0
    ask("scontrol", "requeue", job)
    state, said = wait_for_end(job, tmp_path)
    assert state == "FAILED"
    assert "refuses: grant: revoked: hpc-connector keys grant makes one" in said
    assert list_events(keeper, grant)[-1]["event"] == "refuse"


def test_submit__a_data_set_that_a_catalogue_names(
    keeper, cohort, tmp_path, monkeypatch
):
    """Its role was asked for by the keeper; on the node nobody has logged in."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    place = tmp_path / "journals"
    about = About(title="T", roles=(ROLE,), purposes=("care",), keeper=URL)
    with open_catalog(f"{place}/", is_new=True) as catalog:
        add(catalog, "slow", [f"{cohort}.c4gh"], about)
    asked = ["--top", "20", "--catalog", f"{place}/", "--purpose"]
    job, grant = submit(keeper, "catalog:slow", tmp_path, *asked, "care")
    state, said = wait_for_end(job, tmp_path)
    assert state == "COMPLETED", said
    plain = tmp_path / "plain"
    assert mdr(["run", str(cohort), "--top", "20", "--out", str(plain), "--quiet"]) == 0
    expected = (plain / "models.tsv").read_bytes()
    assert (tmp_path / "out/models.tsv").read_bytes() == expected
    record = read_manifest(tmp_path / "out")
    assert {one["dataset"]["id"] for one in record["inputs"]} == {"slow"}
    assert record["confidential"]["grant"] == grant
    (tmp_path / "other").mkdir()
    job, _ = submit(keeper, "catalog:slow", tmp_path / "other", *asked, "trade")
    state, said = wait_for_end(job, tmp_path / "other")
    assert (state, "expected --purpose, one of care" in said) == ("FAILED", True)
    with open_catalog(f"{place}/") as catalog:
        events = [
            event.what["do"] for event, _, _ in lookup.list_events(catalog, "slow")
        ]
    assert events[-1] == "deny"
