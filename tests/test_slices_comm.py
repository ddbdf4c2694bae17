"""Who indexes an object: the ranks of the communicator that is given."""

from hpc_connector.partitioner.single import SerialCommunicator
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.formats.text import UTF8Text


def test_preprocess__asks_the_communicator_it_is_given(tmp_path, monkeypatch):
    def refuse():
        raise AssertionError("the communicator of all ranks was asked for")

    monkeypatch.setattr("hpc_connector.slices.cloud_object.get_mpicomm", refuse)
    (tmp_path / "text").write_bytes(b"a b\n" * 100)
    co = CloudObject.from_path(UTF8Text, str(tmp_path / "text"))
    assert co.preprocess("mpi", comm=SerialCommunicator()).is_preprocessed()
    assert co.preprocess().is_preprocessed()  # in this process, no rank is needed
