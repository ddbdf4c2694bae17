"""The hub and its sites, by searches in small: sums of masked blocks over HTTPS."""

import contextlib
import json

import numpy as np
import pytest

from federation_hubs import (
    NAMES,
    Stopped,
    Trial,
    ask,
    begin,
    check,
    get_port,
    make_hello,
    make_parties,
    open_party,
    pack,
)
from hpc_connector.errors import BadInput, Later
from hpc_connector.federation.hub.codec import encode
from programs import wait_for
from s3 import is_open


@pytest.mark.parametrize("scorer", ["hub", "sites"])
def test_hub__gives_the_sums_of_the_sites(tmp_path, scorer):
    trial = Trial(make_parties(tmp_path, scorer=scorer))
    ends = trial.run("hub", *NAMES).join()
    for told in ends.values():
        check(told)
    assert [event for event, *_ in trial.log] == ["join"] * 3 + ["end"]


@pytest.fixture
def running(tmp_path):
    """Give a hub that waits for blocks, and the run; it ends by what a site says."""
    trial = Trial(make_parties(tmp_path)).run("hub")
    wait_for(lambda: is_open(get_port(trial.study)))
    run = begin(trial.study)
    yield trial, run
    ask(trial.study, "west", "POST", f"/v1/runs/{run}/leave", b'{"reason": "over"}')
    for name in NAMES:  # who has not heard that
        with contextlib.suppress(OSError):
            ask(trial.study, name, "GET", f"/v1/runs/{run}/told/0")
    assert isinstance(trial.join("hub")["hub"], BadInput)


NUMBERS = np.arange(100, dtype=np.uint16)
WHOLE = pack(1, 7, NUMBERS)


def change(at, byte):
    return WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (change(0, 0), 400, "expected the header of a block"),
        (change(8, 2), 400, "the header of another block"),
        (change(9, 12), 400, "numbers of 12 bits"),
        (change(9, 32), 400, "232 bytes, and the header says 400"),
        (change(10, 1), 400, "expected the header of a block"),
        (change(12, 8), 400, "the header of another block"),
        (change(20, 99), 400, "232 bytes, and the header says 198"),
        (change(24, WHOLE[24] ^ 1), 400, "stage 1, block 7: the numbers are damaged"),
        (change(28, 1), 400, "expected the header of a block"),
        (change(100, WHOLE[100] ^ 1), 400, "the numbers are damaged"),
        (WHOLE[:-1], 400, "231 bytes, and the header says 200"),
        (WHOLE[:31], 400, "expected a header of 32 bytes"),
        (b"", 400, "expected a header of 32 bytes"),
        (bytes((1 << 24) + 33), 413, "a block has 16777216 bytes at most"),
    ],
)
def test_put__refuses_what_is_no_block(running, body, status, said):
    trial, run = running
    found = ask(trial.study, "north", "PUT", f"/v1/runs/{run}/1/7", body)
    assert (found[0], said in found[1].decode()) == (status, True), found
    assert any(said in (reason or "") for _, _, reason in trial.log)
    found = ask(trial.study, "north", "PUT", f"/v1/runs/{run}/1/7", WHOLE)
    assert found == (202, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/runs/{run}/256/0", 400),
        ("PUT", "/v1/runs/{run}/1/18446744073709551616", 400),
        ("PUT", "/v1/runs/{other}/1/7", 409),
        ("GET", "/v1/runs/{other}/1/7", 409),
        ("GET", "/v1/runs/{run}/1/7", 404),
        ("GET", "/v1/runs/{run}/told/0", 202),
        ("GET", "/v1/runs/{run}/told/-1", 404),
        ("GET", "/v1/runs/../../etc/passwd", 404),
        ("GET", "/", 404),
        ("POST", "/v1/runs/{run}/leave", 400),
        ("POST", "/v1/join", 400),
        ("DELETE", "/v1/join", 501),
    ],
)
def test_hub__refuses_what_it_does_not_know(running, method, path, status):
    trial, run = running
    path = path.format(run=run, other="0" * 64)
    body = b"" if method == "GET" else WHOLE
    assert ask(trial.study, "north", method, path, body)[0] == status


def test_leave__says_why_in_one_printable_line(tmp_path):
    trial = Trial(make_parties(tmp_path)).run("hub")
    wait_for(lambda: is_open(get_port(trial.study)))
    path = f"/v1/runs/{begin(trial.study)}/leave"
    told = {"reason": "\x1b[31m\n" + 999 * "x", "code": 75}
    for name in NAMES:
        ask(trial.study, name, "POST", path, json.dumps(told).encode())
    end = trial.join("hub")["hub"]
    assert isinstance(end, Later)
    assert str(end).startswith("site north has left: [31mxxx")
    assert len(str(end)) < 250


def test_put__takes_the_same_block_twice_and_no_other(running):
    trial, run = running
    path = f"/v1/runs/{run}/1/7"
    for _ in range(2):
        assert ask(trial.study, "north", "PUT", path, WHOLE)[0] == 202
    assert ask(trial.study, "north", "GET", path)[0] == 202
    other = ask(trial.study, "north", "PUT", path, pack(1, 7, NUMBERS[::-1].copy()))
    assert other[0] == 410
    said = "site north sent stage 1, block 7 twice, and not the same"
    assert json.loads(other[1]) == {"code": 2, "reason": said}
    assert json.loads(ask(trial.study, "south", "GET", path)[1])["reason"] == said


def test_put__finds_another_message_of_a_sum_that_is_done(running):
    trial, run = running
    path = f"/v1/runs/{run}/1/7"
    found = [ask(trial.study, name, "PUT", path, WHOLE)[0] for name in NAMES]
    assert found == [202, 202, 201]
    assert ask(trial.study, "north", "PUT", path, WHOLE)[0] == 201
    assert ask(trial.study, "south", "GET", path)[0] == 204
    other = pack(1, 7, NUMBERS[:50])
    assert ask(trial.study, "south", "PUT", path, other)[0] == 410


@pytest.mark.parametrize("numbers", [NUMBERS[:99], NUMBERS.astype(np.uint32)])
def test_put__refuses_numbers_unlike_those_of_others(running, numbers):
    trial, run = running
    path = f"/v1/runs/{run}/1/7"
    ask(trial.study, "north", "PUT", path, WHOLE)
    status, said = ask(trial.study, "west", "PUT", path, pack(1, 7, numbers))
    assert status == 410
    bits = 8 * numbers.itemsize
    assert f"{len(numbers)} numbers of {bits} bits of site west" in said.decode()


def test_put__takes_four_blocks_that_others_have_not_sent(running):
    trial, run = running
    found = [
        ask(trial.study, "north", "PUT", f"/v1/runs/{run}/1/{n}", pack(1, n, NUMBERS))
        for n in range(5)
    ]
    assert [status for status, _ in found] == [202, 202, 202, 202, 409]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hello": {"site": "south"}}, "the certificate of site north, and the name"),
        ({"hello": {"study": "0" * 64}}, "site north has another study (000000000000"),
        ({"hello": {"reference": "0" * 64}}, "site north has another list of variants"),
        ({"hello": {"nonce": b"short"}}, "the certificate of site north"),
        ({"protocol": 0}, "the protocol is 1 here, 0 at the site"),
        ({"hello": None}, "expected what a site shows"),
    ],
)
def test_join__refuses_another_than_it_says(tmp_path, change, said):
    study = make_parties(tmp_path)
    hello = make_hello(study, "north")
    told = {"hello": hello, "goes_on": False, "protocol": 1} | change
    if change.get("hello"):
        told["hello"] = hello | change["hello"]
    with contextlib.suppress(Stopped), open_party(study, "hub"):
        status, data = ask(study, "north", "POST", "/v1/join", encode(told))
        raise Stopped
    assert status in (400, 403)
    assert said in data.decode()
