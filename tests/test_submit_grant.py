"""``submit --grant``: what it needs to be told, and what the job is told by it."""

import pytest

from hpc_connector.commands import grants
from hpc_connector.commands.main import main
from hpc_connector.confidential.keeper import client
from hpc_connector.errors import BadInput, Later

URL = "https://keeper.example.org:8443"
RUN = ["run", "cohort.bed.c4gh", "--out", "out"]
KEY = ["--key", f"keeper:{URL}"]
SIZE = ["--mem", "1G", "--time", "10"]


def submit(*words):
    """Return the code of a job that is shown alone."""
    return main(["submit", "--dry-run", *words])


def test_find_keeper__in_arguments_and_their_file(tmp_path):
    config = tmp_path / "run.toml"
    config.write_text(f'key = "keeper:{URL}"\n')
    assert grants.find_keeper((*RUN, *KEY)) == URL
    assert grants.find_keeper((*RUN, f"--key=keeper:{URL}")) == URL
    assert grants.find_keeper((*RUN, "--config", str(config))) == URL
    assert grants.find_keeper((*RUN, "--key", "me.sec")) == ""
    assert grants.find_keeper(tuple(RUN)) == ""


@pytest.mark.parametrize("ranks", [["--ntasks", "6"], ["--ntasks-per-node", "2"]])
@pytest.mark.parametrize("more", [[], ["--telemetry"]])
def test_submit__passes_the_grant_to_the_run(ranks, more, capsys):
    words = ["--grant", "0123456789abcdef", *SIZE, *ranks, *more, "mdr-epistasis"]
    assert submit(*words, *RUN, *KEY) == 0
    script = capsys.readouterr().out
    assert f"--key keeper:{URL} --grant 0123456789abcdef" in script
    assert "#SBATCH --time=" in script


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [*SIZE, "--ntasks", "2", "mdr-epistasis", *RUN, *KEY],
            "expected --grant NAME",
        ),
        (["--grant", "0" * 16, "mdr-epistasis", *RUN], "expected --key keeper:URL"),
        (
            ["--grant", "0" * 16, "mdr-epistasis", *RUN, *KEY],
            "expected --mem and --time and --ntasks",
        ),
    ],
)
def test_submit__says_what_a_grant_needs(words, said, capsys):
    assert submit(*words) == 2
    assert said in capsys.readouterr().err


def test_check_jobs__of_several():
    with pytest.raises(BadInput, match="expected one job, or one array; these are 2"):
        grants.check_jobs([object(), object()])


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (BadInput("refused"), BadInput),
        (Later("away"), BadInput),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_bind__that_fails_cancels_the_job(ended, expected, monkeypatch):
    def refuse(*_):
        raise ended

    cancelled = []
    monkeypatch.setattr(client, "ask_keeper", refuse)
    monkeypatch.setattr(grants, "get_cluster", lambda: "c1")
    monkeypatch.setattr(grants, "ask", lambda *words: cancelled.append(words))
    with pytest.raises(expected):
        grants.bind(grants.Granted(URL, "0" * 16, "token"), "7")
    assert cancelled == [("scancel", "7")]
