"""Who may use a data set, by a real login: the role is in a token that was verified."""

from pathlib import Path

import pytest

from forms import fill_forms
from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.lookup import list_events
from hpc_connector.commands.main import main
from hpc_connector.confidential.identity.claims import Settings
from hpc_connector.confidential.identity.login import log_in
from identity_servers import AUDIENCE, serve_provider
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
