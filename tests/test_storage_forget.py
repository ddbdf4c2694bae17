"""A second run of a process sees the objects that are there by then."""

from hpc_connector.loader.files import exists, open_file
from hpc_connector.options import RunOptions
from hpc_connector.pipeline.program import open_session
from s3 import BUCKET, make_client


def test_open_session__sees_an_object_that_has_changed(s3_endpoint, tmp_path):
    client, uri = make_client(s3_endpoint), f"s3://{BUCKET}/changing.txt"
    found = []

    def run() -> int:
        options = RunOptions(out=tmp_path / f"{len(found)}")
        with open_session("toy", options, lambda options: options):
            for _ in range(2):  # the version that a run saw first is that of all
                found.append(open_file(uri).read() if exists(uri) else None)
        return 0

    for data in (b"first", b"another"):
        client.put_object(Bucket=BUCKET, Key="changing.txt", Body=data)
        assert run() == 0
    client.delete_object(Bucket=BUCKET, Key="changing.txt")
    assert run() == 0
    assert found == [b"first", b"first", b"another", b"another", None, None]
