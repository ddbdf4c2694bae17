"""Who may use a data set, by a real login: the role is in a token that was verified."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from forms import fill_forms
from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.lookup import list_events
from hpc_connector.commands.main import main
from hpc_connector.confidential.evidence.measurement import measure
from hpc_connector.confidential.identity.claims import Settings
from hpc_connector.confidential.identity.login import log_in
from hpc_connector.confidential.keeper import munge
from hpc_connector.confidential.keeper.database import bind_grant
from hpc_connector.confidential.keeper.registry import add_file
from hpc_connector.confidential.keeper.server import serve
from hpc_connector.confidential.keeper.settings import read_settings
from hpc_connector.confidential.keeper.state import open_keeper
from hpc_connector.confidential.keys import load_key
from hpc_connector.manifest import read_manifest
from identity_servers import AUDIENCE, serve_provider
from keepers import AUDIENCE as OF_KEEPER
from keepers import (
    CLUSTER,
    GOLDEN,
    JOB,
    NODE,
    put_scontrol,
    run_munged,
    write_job,
    write_settings,
)
from keepers import COHORT as SEALED
from keepers import SUBJECT as OF_SUBJECT
from mdr_epistasis.program import main as search

COHORT = Path(__file__).parent / "data" / "bitepi_plink_100snps_2000" / "bfile.bed"
ROLE = "realm_access.roles=nd-role"


@pytest.fixture(scope="module")
def server():
    with serve_provider() as found:
        yield found


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a catalogue, in whose process nobody has logged in yet."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    about = About(title="T", roles=(ROLE,), purposes=("care",), contact="who@x.org")
    with open_catalog(tmp_path / "c.sqlite", is_new=True) as catalog:
        add(catalog, "cohort", [str(COHORT)], about, checksum=False)
    return str(tmp_path / "c.sqlite")


def be(server, name):
    """Log in as a user of the server."""
    log_in(
        Settings(server.issuer, AUDIENCE),
        "hpc-connector",
        show=lambda code: fill_forms(code.address, server.get_answers(name)),
        tell=print,
    )


@pytest.mark.parametrize(("name", "code"), [("alice", 0), ("bob", 2)])
def test_run__is_of_who_has_the_role(server, place, tmp_path, capsys, name, code):
    be(server, name)
    mine = ["catalog", "search", "--mine", "--purpose", "care", "--catalog", place]
    assert main(mine) == 0
    assert ("cohort@1" in capsys.readouterr().out) == (code == 0)
    words = ["run", "catalog:cohort", "--purpose", "care", "--catalog", place]
    assert search([*words, "--quiet", "--out", str(tmp_path / "out")]) == code
    said = capsys.readouterr().err
    with open_catalog(place) as catalog:
        denied = [e.what for e, _, _ in list_events(catalog) if e.what["do"] == "deny"]
    assert len(denied) == said.count("; ask who@x.org") == (code == 2)
    assert [one["subject"] for one in denied] == ["bob"] * (code == 2)


# With a keeper: nobody but a job is given keys


@pytest.fixture(scope="module")
def keeper(server, tmp_path_factory):
    """Have a keeper of the golden cohort, whose users are those of the server."""
    folder = tmp_path_factory.mktemp("keeper")
    put_scontrol(folder)
    write_job(folder)
    with ExitStack() as stack:
        socket = stack.enter_context(run_munged())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("SSL_CERT_FILE", str(folder / "keeper.pem"))
        patch.setattr(munge, "SOCKET", socket)
        uid = os.geteuid()
        path = write_settings(folder, server.issuer, socket, uid, [measure()])
        text = path.read_text().replace(f'= "{OF_KEEPER}"', f'= "{AUDIENCE}"')
        text = text.replace(f'"{OF_SUBJECT}" = {uid}', f"alice = {uid}\nbob = {uid}")
        path.write_text(text.replace("roles=cohort-1", "roles=nd-role"))
        settings = read_settings(path)
        opened = open_keeper(settings, load_key(settings.keeper.key))
        for name in SEALED:
            add_file(opened, "cohort-1", GOLDEN / name)
        _, port = stack.enter_context(serve(opened))
        yield opened, f"https://127.0.0.1:{port}"


@pytest.fixture
def sealed(keeper, tmp_path):
    """Return a catalogue with the cohort that the keeper has."""
    about = About(title="T", roles=(ROLE,), purposes=("care",), keeper=keeper[1])
    with open_catalog(tmp_path / "sealed.sqlite", is_new=True) as catalog:
        add(catalog, "cohort-1", [str(GOLDEN / SEALED[0])], about)
    return str(tmp_path / "sealed.sqlite")


def ask_grant(keeper):
    """Ask for a grant, as the user who has logged in."""
    words = ["keys", "grant", "cohort-1", "--keeper", keeper[1]]
    return main([*words, "--program", "mdr-epistasis"])


def test_run__of_what_a_keeper_opens_for_who_has_the_role(
    server, keeper, place, sealed, tmp_path, monkeypatch, capsys
):
    """The catalogue says where it is and by whom it is opened; the keeper decides."""
    be(server, "alice")
    assert ask_grant(keeper) == 0
    grant = capsys.readouterr().out.split()[-1]
    assert bind_grant(keeper[0].database, grant, CLUSTER, JOB)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")  # nobody has logged in on a node
    monkeypatch.setenv("SLURM_JOB_ID", JOB)
    monkeypatch.setenv("SLURM_CLUSTER_NAME", CLUSTER)
    monkeypatch.setenv("SLURMD_NODENAME", NODE)
    words = ["run", "catalog:cohort-1", "--purpose", "care", "--catalog", sealed]
    words += ["--grant", grant, "--quiet", "--out"]
    assert search([*words, str(tmp_path / "out")]) == 0
    plain = ["run", str(GOLDEN / "cohort.bed"), "--quiet", "--out"]
    assert search([*plain, str(tmp_path / "plain")]) == 0
    expected = (tmp_path / "plain/models.tsv").read_bytes()
    assert (tmp_path / "out/models.tsv").read_bytes() == expected
    record = read_manifest(tmp_path / "out")
    assert {one["dataset"]["id"] for one in record["inputs"]} == {"cohort-1"}
    assert record["confidential"]["keeper"] == keeper[1]
    assert record["confidential"]["evidence"] == 1


def test_keys_grant__of_who_lacks_the_role(server, keeper, place, capsys):
    be(server, "bob")
    assert ask_grant(keeper) == 2
    assert "role: expected realm_access.roles=nd-role" in capsys.readouterr().err
