"""Objects of a catalogue in a real S3 server, and stores that do not answer."""

from pathlib import Path

import pytest

from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.gather import About, add
from hpc_connector.catalogue.verify import verify
from hpc_connector.commands.main import main
from hpc_connector.storage.objects import forget
from hpc_connector.storage.traffic import traffic
from s3 import BUCKET, find_port, make_client

COHORT = Path(__file__).parent / "data" / "bitepi_plink_100snps_2000" / "bfile.bed"
ENDINGS = ("bed", "bim", "fam")


@pytest.fixture
def client(s3_endpoint):
    """Return a client of a server whose bucket has three copies of a cohort."""
    client = make_client(s3_endpoint)
    for name in ("same", "other", "cut", "gone"):
        for end in ENDINGS:
            data = COHORT.with_suffix(f".{end}").read_bytes()
            client.put_object(Bucket=BUCKET, Key=f"cat/{name}.{end}", Body=data)
    forget()
    return client


@pytest.fixture
def place(client, tmp_path):
    """Return a catalogue of them."""
    with open_catalog(tmp_path / "c.sqlite", is_new=True) as catalog:
        for name in ("same", "other", "cut", "gone"):
            url = f"s3://{BUCKET}/cat/{name}.bed"
            found, _ = add(catalog, name, [url], About(title=name))
            assert [each.bytes for each in found.objects] == [50003, 37786, 1484]
    return tmp_path / "c.sqlite"


def test_verify__notices_objects_overwritten_cut_and_deleted(client, place):
    data = COHORT.read_bytes()
    changed = data[:-1] + bytes([data[-1] ^ 1])
    client.put_object(Bucket=BUCKET, Key="cat/other.bed", Body=changed)
    client.put_object(Bucket=BUCKET, Key="cat/cut.bed", Body=data[:-1])
    client.delete_object(Bucket=BUCKET, Key="cat/gone.bed")
    with open_catalog(place) as catalog:
        before = traffic.n_bytes, traffic.requests
        found = verify(catalog)
        used = traffic.n_bytes - before[0], traffic.requests - before[1]
        full = verify(catalog, full=True)
    said = {fault.dataset: fault.said.partition(":")[0] for fault in found.faults}
    assert said == {
        "other@1": "it has changed",
        "cut@1": "it has 50,002 bytes, and had 50,003",
        "gone@1": "it is gone",
    }
    assert used == (0, 11)  # no byte of any is read, and a look at each that is there
    assert {fault.dataset for fault in full.faults} == said.keys()
    assert full.bytes > found.bytes == 0


def test_verify__of_a_store_that_does_not_answer_is_75(
    place, tmp_path, monkeypatch, capsys
):
    address = f"http://127.0.0.1:{find_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    forget()
    assert main(["catalog", "verify", "same", "--catalog", str(place)]) == 75
    assert "its server does not answer" in capsys.readouterr().out
    forget()
