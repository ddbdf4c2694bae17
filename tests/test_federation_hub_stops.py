"""Hubs and sites that are killed at any moment, started again, and end the same."""

import contextlib
import errno
import shutil
import threading
from functools import partial

import numpy as np
import pytest

from federation_hubs import (
    BLOCKS,
    NAMES,
    PARTIES,
    ROUNDS,
    Process,
    Stopped,
    Trial,
    check,
    count,
    get_place,
    make_hello,
    make_parties,
    search,
)
from hpc_connector.errors import BadInput, Later
from hpc_connector.federation.hub.attempts import save_attempt
from hpc_connector.federation.hub.client import FAILED, UNTOLD
from hpc_connector.federation.hub.codec import decode
from hpc_connector.federation.hub.exchange import Anew, Exchange
from hpc_connector.federation.hub.folder import alone
from hpc_connector.federation.hub.memory import Memory
from hpc_connector.federation.hub.sums import Sums
from hpc_connector.federation.hub.wire import UNDER_WAY, make_header
from programs import PATIENCE_S, wait_for

PATIENT_S = 12.0  # of a hub, long enough for a loaded machine
STEPS = 1 + ROUNDS * (BLOCKS + 1)  # joined, blocks added and values told


def run_killing(folder, plan):
    """Run all parties, and kill each after numbers of steps, then start it again.

    Parameters
    ----------
    plan
        By party, after how many steps of each life it is killed.
    """
    ends = {}

    def live(name):
        for n in plan.get(name, ()):
            process = Process(folder, name)
            process.wait_for_steps(n)
            process.kill()
        ends[name] = Process(folder, name).get_end()

    threads = [threading.Thread(target=live, args=(name,)) for name in PARTIES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def draw_plan(seed):
    rng = np.random.default_rng(seed)
    names = rng.choice(PARTIES, 2)
    return {name: rng.integers(0, STEPS, 2).tolist() for name in names}


@pytest.mark.parametrize(("seed", "scorer"), [(1, "hub"), (2, "sites")])
def test_hub__and_sites_are_killed_and_go_on(tmp_path, seed, scorer):
    study = make_parties(tmp_path, scorer=scorer)
    folder = get_place(study, "hub").parent
    plan = draw_plan([seed, scorer == "hub"])
    ends = run_killing(folder, plan)
    assert {name: code for name, (code, _) in ends.items()} == dict.fromkeys(
        PARTIES, 0
    ), (plan, ends)
    told = [(folder / name / "told").read_bytes() for name in NAMES]
    assert told[0] == told[1] == told[2]
    check(decode(told[0]))


def leave_out(transport, study, name):
    """Join, and send nothing."""
    transport.gather({"study": study.sha256, "site": name, "nonce": bytes(32)})
    transport.tell()


def test_hub__names_a_site_that_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr("hpc_connector.federation.hub.client.LIFE_S", PATIENCE_S)
    study = make_parties(tmp_path)
    hub = Trial(study, patience_s=PATIENT_S).run("hub")
    sites = Trial(study).run("north", "west").run("south", work=leave_out)
    ends = sites.join() | hub.join()
    said = f"site south: silent for {PATIENT_S:g} s (stage 0, block 0)"
    for end in ends.values():
        assert isinstance(end, Later), ends
        assert str(end) == said
    assert ("end", "hub", said) in hub.log


def send_one(transport, study, name):
    """Join, send a block, and no more, but be there."""
    transport.gather(make_hello(study, name))
    transport.add(0, 0, lambda: count(name, 0, 0, 1000))
    transport.way.is_over.wait(PATIENCE_S)
    raise Stopped


def test_hub__names_a_site_that_is_there_and_sends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("hpc_connector.federation.hub.client.LIFE_S", 0.1)
    trial = Trial(make_parties(tmp_path), patience_s=PATIENT_S)
    trial.run("hub", "north", "west").run("south", work=send_one)
    ends = trial.join()
    said = f"there, and has sent nothing for {PATIENT_S:g} s (stage 0, block 1)"
    for name in ("hub", "north", "west"):
        assert isinstance(ends[name], Later), ends
        assert str(ends[name]) == f"site south: {said}"


def test_hub__does_not_wait_for_a_sum_that_its_disk_has_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("hpc_connector.federation.hub.client.LIFE_S", 0.1)
    study = make_parties(tmp_path)

    def add_and_stop(transport, study, _):
        transport.gather()
        transport.add(0, 0)
        raise Stopped

    def send_one_and_ask(transport, study, name):
        transport.gather(make_hello(study, name))
        transport.add(0, 0, lambda: count(name, 0, 0, 1000))
        transport.tell()

    trial = Trial(study, patience_s=60.0).run(*NAMES, work=send_one_and_ask)
    trial.run("hub", work=add_and_stop).join("hub")
    (sums,) = (get_place(study, "hub") / "state").glob("sums.*")
    data = bytearray(sums.read_bytes())
    data[-1] ^= 1
    sums.write_bytes(data)
    trial.patience_s = PATIENT_S
    said = f"there, and has sent nothing for {PATIENT_S:g} s (stage 0, block 0)"
    for end in trial.run("hub").join().values():
        assert isinstance(end, Later)
        assert said in str(end)


def test_hub__does_not_take_who_begins_anew_for_who_is_silent(tmp_path):
    study = make_parties(tmp_path)
    trial = Trial(study, patience_s=PATIENT_S).run("hub", "north", "south")
    trial.run("west", work=partial(stop_after, 2)).join("west")
    shutil.rmtree(get_place(study, "west") / "state")
    anew = Trial(study, patience_s=PATIENT_S)
    anew.run("west")
    said = str(trial.join("hub")["hub"])
    assert f"site west: silent for {PATIENT_S:g} s" in said


def count_long(is_missed, transport, study, name):
    """Send nothing until a hub that would be out of patience looks for it."""
    transport.gather({"study": study.sha256, "site": name, "nonce": bytes(32)})
    assert is_missed.wait(PATIENCE_S)
    raise BadInput("it was waited for")


def test_hub__waits_for_a_site_that_counts_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr("hpc_connector.federation.hub.client.LIFE_S", 0.1)
    study, is_missed = make_parties(tmp_path), threading.Event()
    end_for = Exchange.end_for

    def miss(exchange, sites, said, name):
        end_for(exchange, sites, said, name)
        if "has sent nothing" in said:
            is_missed.set()

    monkeypatch.setattr(Exchange, "end_for", miss)
    hub = Trial(study, patience_s=PATIENT_S).run("hub")
    sites = Trial(study).run("north", "west")
    sites.run("south", work=partial(count_long, is_missed))
    ends = sites.join() | hub.join()
    assert "waited for" in str(ends["south"])
    assert "site south has left" in str(ends["hub"])


def test_site__tries_again_until_patience_ends(tmp_path):
    trial = Trial(make_parties(tmp_path), patience_s=0.5)
    (end,) = trial.run("north").join().values()
    assert isinstance(end, Later)
    assert "does not answer: Connection refused" in str(end)


def refuse(transport, study, name):
    """Join, and find something wrong."""
    transport.gather({"study": study.sha256, "site": name, "nonce": bytes(32)})
    raise BadInput("genotypes.bed is cut")


def test_site__that_cannot_go_on_ends_all(tmp_path):
    trial = Trial(make_parties(tmp_path)).run("hub", "north", "south")
    ends = trial.run("west", work=refuse).join()
    for name in ("hub", "north", "south"):
        assert isinstance(ends[name], BadInput), ends
        assert str(ends[name]) == f"site west has left: {UNTOLD}"


def test_site__that_fails_ends_all_for_now(tmp_path):
    def fail(transport, study, name):
        transport.gather(make_hello(study, name))
        raise ZeroDivisionError

    trial = Trial(make_parties(tmp_path)).run("hub", "north", "south")
    ends = trial.run("west", work=fail).join()
    assert isinstance(ends["west"], ZeroDivisionError)
    for name in ("hub", "north", "south"):
        assert isinstance(ends[name], Later), ends
        assert str(ends[name]) == f"site west has left: {FAILED}"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), MemoryError(), Stopped()]
)
def test_site__that_may_go_on_does_not_end_all(tmp_path, error):
    def stop(transport, study, name):
        transport.gather(make_hello(study, name))
        raise error

    study = make_parties(tmp_path)
    trial = Trial(study).run("hub", "north", "south")
    assert trial.run("west", work=stop).join("west")["west"] is error
    for end in trial.run("west").join().values():
        check(end)


def test_hub__that_cannot_go_on_ends_all(tmp_path):
    def refuse_sums(transport, study, _):
        transport.gather()
        transport.add(0, 0)
        raise BadInput("implausible sums")

    trial = Trial(make_parties(tmp_path)).run(*NAMES)
    study = trial.study
    for end in trial.run("hub", work=refuse_sums).join().values():
        assert isinstance(end, BadInput)
        assert str(end) == "implausible sums"
    state = get_place(study, "hub") / "state"
    assert {path.name for path in state.iterdir()} == {"attempt", "lock"}


def test_hub__that_fails_ends_all_for_now(tmp_path):
    def fail(transport, study, _):
        transport.gather()
        raise ZeroDivisionError

    trial = Trial(make_parties(tmp_path)).run(*NAMES)
    ends = trial.run("hub", work=fail).join()
    assert isinstance(ends.pop("hub"), ZeroDivisionError)
    for end in ends.values():
        assert isinstance(end, Later)
        assert str(end) == "the hub has failed: ZeroDivisionError()"


def test_site__as_two_processes_is_refused(tmp_path):
    study = make_parties(tmp_path)
    trial = Trial(study).run("hub", "north")
    wait_for((get_place(study, "north") / "state" / "shown").exists)
    (end,) = Trial(study).run("north").join().values()
    assert isinstance(end, BadInput)
    assert "another process is at work there" in str(end)
    for end in trial.run("south", "west").join().values():
        check(end)


def stop_after(n, transport, study, name):
    """Take part, and stop after some blocks."""
    left = iter(range(n))

    def step(said):
        if said == "added" and next(left, None) is None:
            raise Stopped

    return search(transport, study, name, step=step)


def test_sites__that_all_begin_anew_begin_another_attempt(tmp_path):
    study = make_parties(tmp_path)
    trial = Trial(study).run("hub")
    for end in trial.run(*NAMES, work=partial(stop_after, 2)).join(*NAMES).values():
        assert isinstance(end, Stopped)
    for name in NAMES:
        shutil.rmtree(get_place(study, name) / "state")
    again = Trial(study).run(*NAMES)
    assert isinstance(trial.join("hub")["hub"], Anew)
    for end in again.run("hub").join().values():
        check(end)
    reasons = [reason for event, _, reason in trial.log if event == "join"]
    assert reasons == ["attempt 1"] * 3 + ["attempt 2"] * 3


def test_site__that_begins_anew_alone_waits_for_the_others(tmp_path, caplog):
    caplog.set_level("INFO")
    study = make_parties(tmp_path)
    trial = Trial(study).run("hub", "north", "south")
    trial.run("west", work=partial(stop_after, 2)).join("west")
    state = get_place(study, "west") / "state"
    state.rename(tmp_path / "before")
    alone = Trial(study, patience_s=5.0).run("west")
    wait_for(lambda: "--resume takes part in it" in caplog.text)
    assert trial.threads["north"].is_alive()
    state.rename(tmp_path / "anew")
    (tmp_path / "before").rename(state)
    for end in trial.run("west").join().values():
        check(end)
    assert isinstance(alone.join()["west"], Later)


def test_memory__lets_nothing_else_out_under_one_mask(tmp_path):
    sent = make_header(1, 7, np.arange(9, dtype=np.uint16))
    for _ in range(2):
        with contextlib.closing(Memory(tmp_path)) as memory:
            memory.keep("cohort", "abc")
            memory.send(sent)
    with open(tmp_path / "sent", "ab") as stream:  # killed within a header
        stream.write(b"hpcmdr01")
    with contextlib.closing(Memory(tmp_path)) as memory:
        memory.send(sent._replace(block=8))
        with pytest.raises(BadInput, match="stage 1, block 7 of this site"):
            memory.send(sent._replace(crc=0))
        with pytest.raises(BadInput, match="cohort of this site has changed"):
            memory.keep("cohort", "abd")
    assert (tmp_path / "sent").stat().st_size == 64


def test_hub__does_not_tell_something_else_than_before(tmp_path):
    study = make_parties(tmp_path)
    trial = Trial(study).run(*NAMES)

    def tell_and_stop(transport, study, _):
        transport.gather()
        transport.tell({"seed": 1})
        raise Stopped

    def tell_other(transport, study, _):
        transport.gather()
        transport.tell({"seed": 2})

    trial.run("hub", work=tell_and_stop).join("hub")
    ends = trial.run("hub", work=tell_other).join()
    assert isinstance(ends["hub"], RuntimeError)
    for name in NAMES:
        assert "told value 0 is not what it was" in str(ends[name])


def test_sums__on_the_disk_are_not_under_way(tmp_path):
    sums = Sums(tmp_path / "sums", NAMES)
    numbers = np.arange(9, dtype=np.uint16)
    with contextlib.closing(sums.file):
        for block in range(UNDER_WAY):
            for name in NAMES:
                is_last = sums.take(name, make_header(1, block, numbers), numbers)
            assert is_last
            sums.save((1, block))  # and others hear of it, before it is forgotten
        header = make_header(1, UNDER_WAY, numbers)
        assert not sums.take("north", header, numbers)


@pytest.mark.parametrize("event", ["attempt", "done"])
def test_hub__stops_where_its_disk_is_full(tmp_path, monkeypatch, event):
    study, saved = make_parties(tmp_path), []

    def save(folder, study, attempt):
        saved.append("done" if attempt.done else "attempt")
        if saved.count(event) == 1 and saved[-1] == event:
            raise OSError(errno.ENOSPC, "full")
        save_attempt(folder, study, attempt)

    monkeypatch.setattr("hpc_connector.federation.hub.exchange.save_attempt", save)
    trial = Trial(study).run("hub", *NAMES)
    end = trial.join("hub")["hub"]
    assert isinstance(end, OSError), end
    assert end.errno == errno.ENOSPC
    for end in trial.run("hub").join().values():
        check(end)


@pytest.mark.parametrize("name", ["shown", "kept", "sent"])
def test_memory__names_the_file_that_is_damaged(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(32))
    with pytest.raises(BadInput, match=f"{tmp_path}/{name}"):
        Memory(tmp_path)


def test_alone__names_what_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    said = "file: File exists: expected a folder"
    with pytest.raises(BadInput, match=said), alone(tmp_path / "file"):
        pass
