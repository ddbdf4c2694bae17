"""Evidence: measured code, quotes of a TPM that runs, of SGX and TDX, their words."""

import base64
import hashlib
import json
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hpc_connector.commands.main import main
from hpc_connector.confidential.evidence import dcap, measurement, quotes, tpm
from hpc_connector.confidential.evidence.check import Approved, Node, check_evidence
from hpc_connector.confidential.evidence.levels import LEVELS, describe_level
from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput
from tpms import SCRIPT, register, run, serve_quotes, serve_tpm

DCAP = Path(__file__).parent / "data" / "dcap"
NONCE, PUBLIC, CODE = b"n" * 32, b"p" * 32, "ab" * 32
SAID = {"nonce": NONCE, "job_public": PUBLIC, "measurement": CODE}
NOW_S = datetime(2025, 6, 25, tzinfo=UTC).timestamp()


def refuse(evidence, policy, **said):
    """Return why evidence is refused."""
    with pytest.raises(Refused) as caught:
        check_evidence(evidence, **{**SAID, "now": NOW_S, **said}, policy=policy)
    assert caught.value.word == "evidence"
    assert "\n" not in str(caught.value)
    return caught.value.reason


def prove(evidence, policy):
    return check_evidence(evidence, **SAID, policy=policy, now=NOW_S)


# ---- measurement


def test_measure__is_of_all_files_that_decide(tmp_path, monkeypatch):
    names = {"a/__init__.py": b"1", "a/b/x.so": b"2", "a/view.js": b"3", "b.css": b"4"}
    left_out = {"a/__pycache__/x.py": b"5", "a/notes.md": b"6"}
    for name, data in (names | left_out).items():
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    image = tmp_path / "suite.sif"
    image.write_bytes(b"7")
    monkeypatch.setattr(measurement, "find_packages", lambda: [tmp_path / "pkg"])
    monkeypatch.setenv("CONNECTOR_IMAGE", str(image))
    lines = sorted((f"pkg/{name}", data) for name, data in names.items())
    lines += [("python", Path(sys.executable).read_bytes()), ("image", b"7")]
    text = "".join(f"{n}\0{hashlib.sha256(d).hexdigest()}\n" for n, d in lines)
    assert measurement.measure() == hashlib.sha256(text.encode()).hexdigest()
    image.write_bytes(b"8")
    assert measurement.measure() != hashlib.sha256(text.encode()).hexdigest()
    image.unlink()
    with pytest.raises(BadInput, match=r"suite\.sif: No such file"):
        measurement.measure()


def test_measure__is_of_all_packages_that_are_installed(capsys):
    names = {name.split(b"/")[0].decode() for name, _ in measurement.list_files()}
    packages = {"hpc_connector", "mdr_epistasis", "metabolite_annotation"}
    assert names == packages | {"python"}
    assert main(["keys", "measure"]) == 0
    assert capsys.readouterr().out == measurement.measure() + "\n"
    assert main(["keys", "measure", "--files"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == measurement.measure()
    digest = hashlib.sha256(Path(dcap.__file__).read_bytes()).hexdigest()
    assert f"{digest}  hpc_connector/confidential/evidence/dcap.py" in lines


# ---- words


def test_describe_level__says_what_was_proved_and_no_more():
    said = [describe_level(level) for level in range(len(LEVELS))]
    assert [one[:17] for one in said] == [f"Evidence level {n}:" for n in range(4)]
    assert "TPM" not in said[0] + said[1] + said[3]
    assert "enclave" not in said[0] + said[1] + said[2]
    assert "code" not in said[0]
    assert "not root on a node" in said[1]
    alone = describe_level(0, from_file=True)
    assert "token" not in alone
    assert "from a file" in alone
    for level, from_file in ((4, False), (-1, False), (1, True)):
        with pytest.raises(ValueError, match=f"level {level}"):
            describe_level(level, from_file=from_file)


# ---- levels without quotes


def test_check_evidence__without_any_it_is_the_measurement():
    assert prove({}, Approved()) == 0
    assert prove({}, Approved(measurements=["cd" * 32])) == 0
    assert prove({}, Approved(measurements=[CODE], job_nodes=["n1"])) == 1
    assert prove({"tpm": {}, "dcap": {}}, Approved(measurements=[CODE])) == 1


@pytest.mark.parametrize(
    "evidence",
    [
        {"tpm": []},
        {"tpm": {"n1": []}},
        {"tpm": {"n1": {"quoted": ""}}},
        {"tpm": {"n1": {"quoted": "", "signature": "", "more": ""}}},
        {"dcap": {"n1": {"quote": 1}}},
        {"dcap": {"n1": {"quote": "", "collateral": None}}},
        {"dcap": {"n1": {"quote": "AAAA", "collateral": {}}}},
        {"dcap": {"n1": {"quote": "\u00e4", "collateral": {}}}},
        {"sgx": {}},
    ],
)
def test_check_evidence__of_a_wrong_shape(evidence):
    assert refuse(evidence, Approved(measurements=[CODE], enclaves=["ab" * 32]))


# ---- TPM


@pytest.fixture(scope="module")
def tpm_node(tmp_path_factory):
    """Return a node with a TPM that runs: its helper, and what its keeper knows."""
    folder = tmp_path_factory.mktemp("tpm")
    with serve_tpm(folder) as environment:
        node = register(folder, environment)
        with serve_quotes(folder / "ask", environment):
            yield folder / "ask", node, environment


@pytest.fixture(scope="module")
def quoted(tpm_node):
    """Return the evidence of a job on that node."""
    return quotes.make_evidence(NONCE, PUBLIC, CODE, "n1", tpm_node[0])


def approve(node, job_nodes=("n1",), **more):
    return Approved(
        measurements=[CODE], job_nodes=job_nodes, nodes={"n1": node}, **more
    )


def test_tpm__a_quote_of_this_job(tpm_node, quoted):
    node = tpm_node[1]
    assert prove(quoted, approve(node)) == 2
    # a job that is elsewhere too has its plaintext there too
    assert prove(quoted, approve(node, ["n1", "n2"])) == 1
    assert prove(quoted, approve(node, [])) == 1
    # code that nobody approved binds nothing
    assert prove(quoted, Approved(job_nodes=["n1"], nodes={"n1": node})) == 0


def test_tpm__a_quote_of_another_job(tpm_node, quoted):
    policy = approve(tpm_node[1])
    for said in (
        {"nonce": b"m" * 32},
        {"job_public": b"q" * 32},
        {"measurement": "cd" * 32},
    ):
        assert "another nonce, key or code" in refuse(quoted, policy, **said)
    elsewhere = {"tpm": {"n2": quoted["tpm"]["n1"]}}
    assert prove(elsewhere, approve(tpm_node[1], ["n2"])) == 1  # its TPM is not known


def test_tpm__is_read_as_tpm2_tools_do(quoted, tmp_path):
    attest = base64.b64decode(quoted["tpm"]["n1"]["quoted"])
    (tmp_path / "attest").write_bytes(attest)
    found = tpm.read_quote(attest)
    said = run("tpm2_print", "-t", "TPMS_ATTEST", tmp_path / "attest").stdout
    assert f"extraData: {found.extra_data.hex()}" in said
    assert f"pcrDigest: {found.digest.hex()}" in said
    assert found.registers == tuple(range(8))


def test_tpm__no_bit_may_change(tpm_node, quoted):
    node, quote = tpm_node[1], quoted["tpm"]["n1"]
    for field in quote:
        data = base64.b64decode(quote[field])
        for at in range(8 * len(data)):
            changed = bytearray(data)
            changed[at // 8] ^= 1 << at % 8
            other = quote | {field: base64.b64encode(changed).decode()}
            assert refuse({"tpm": {"n1": other}}, approve(node))
        for end in range(len(data)):
            other = quote | {field: base64.b64encode(data[:end]).decode()}
            assert refuse({"tpm": {"n1": other}}, approve(node))


def test_tpm__registers_and_keys_are_those_approved(tpm_node, quoted):
    _, node, _ = tpm_node
    fewer = Node(node.key, node.digests, registers=range(4))
    assert "other registers" in refuse(quoted, approve(fewer))
    another = Node(node.key, ["00" * 32])
    assert "not booted as approved" in refuse(quoted, approve(another))


def test_tpm__another_tpm_or_boot(tpm_node, quoted, tmp_path):
    with serve_tpm(tmp_path) as environment:
        other = register(tmp_path, environment)
        assert "signature" in refuse(quoted, approve(other))
        event = f"3:sha256={'11' * 32}"
        run("tpm2_pcrextend", event, env=environment)
        with serve_quotes(tmp_path / "ask", environment):
            said = NONCE, PUBLIC, CODE, "n1"
            evidence = quotes.make_evidence(*said, tmp_path / "ask")
        assert "not booted as approved" in refuse(evidence, approve(other))


def test_tpm__the_helper_signs_32_bytes_and_nothing_else(tpm_node):
    _, _, environment = tpm_node
    for asked in ("", "00", "0" * 65, "zz" * 32, "$(id)".ljust(64)):
        done = subprocess.run(
            [SCRIPT, "quote"],
            input=asked + "\n",
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert json.loads(done.stdout) == {"error": "expected 64 hex digits"}


def test_make_evidence__where_nobody_makes_quotes(tmp_path, caplog):
    said = NONCE, PUBLIC, CODE, "n1"
    assert quotes.make_evidence(*said, tmp_path / "none") == {}
    assert not caplog.records
    (tmp_path / "file").touch()
    assert quotes.make_evidence(*said, tmp_path / "file") == {}
    assert "no quote of the TPM of n1" in caplog.text


@pytest.mark.parametrize(
    "data", [b"", b"\xff\x54\x43\x47", b"\xff\x54\x43\x47\x80\x17"]
)
def test_read_quote__of_something_else(data):
    with pytest.raises(Refused, match="evidence: "):
        tpm.read_quote(data)


def test_read_quote__by_its_structure():
    """Against bytes put together by hand, from the specification."""
    start = (
        struct.pack(">IH", 0xFF544347, 0x8018) + b"\0\x02ab" + b"\0\x03xyz" + b"c" * 25
    )
    picked = struct.pack(">IHB", 1, 0x0B, 3) + b"\xff\x04\x00" + b"\0\x02dg"
    assert tpm.read_quote(start + picked) == tpm.Quote(b"xyz", (*range(8), 10), b"dg")
    with pytest.raises(Refused, match="behind its end"):
        tpm.read_quote(start + picked + b"!")
    sha1 = struct.pack(">IHB", 1, 0x04, 3) + b"\xff\0\0" + b"\0\x02dg"
    with pytest.raises(Refused, match="0x0004: expected SHA-256"):
        tpm.read_quote(start + sha1)


def test_load_attestation_key__of_another_kind():
    with pytest.raises(BadInput, match=r"n1\.pem is no public key"):
        tpm.load_attestation_key(b"x", "n1.pem")
    signer = DCAP.parent / "confidential" / "keys" / "signer.pub.pem"
    with pytest.raises(BadInput, match="on P-256"):
        tpm.load_attestation_key(signer.read_bytes(), "n1.pem")


# ---- SGX and TDX


def read_case(kind):
    quote = (DCAP / f"{kind}_quote").read_bytes()
    return quote, (DCAP / f"{kind}_quote_collateral.json").read_text()


STATUS = {"sgx": "ConfigurationAndSWHardeningNeeded", "tdx": "UpToDate"}


@pytest.mark.parametrize("kind", STATUS)
def test_dcap__public_quotes(kind):
    quote, collateral = read_case(kind)
    found = dcap.verify_enclave(quote, collateral, NOW_S)
    assert found.status == STATUS[kind]
    assert len(found.identity) == {"sgx": 64, "tdx": 96}[kind]
    assert found.report_data in quote
    assert bytes.fromhex(found.identity) in quote
    approved = [found.identity]
    dcap.check_enclave(found, found.report_data, approved, [found.status])
    for words in (
        (bytes(64), approved, [found.status]),
        (found.report_data, ["00" * 32], [found.status]),
        (found.report_data, approved, ["Revoked"]),
    ):
        with pytest.raises(Refused, match="evidence: "):
            dcap.check_enclave(found, *words)


def test_dcap__an_enclave_that_can_be_debugged():
    quote, collateral = read_case("tdx")
    found = dcap.verify_enclave(quote, collateral, NOW_S)
    assert not found.is_debug
    for kind, name, identity, flags in (
        ("SgxEnclave", "attributes", "mr_enclave", "0700000000000000"),
        ("TD10", "td_attributes", "mr_td", "0100001000000000"),
    ):
        said = {name: flags, identity: "ab", "report_data": "00" * 64}
        for report in ({kind: said}, {kind: {"base": said}}):
            enclave = dcap.read_report(report, "UpToDate")
            assert enclave.is_debug
            with pytest.raises(Refused, match="debug"):
                dcap.check_enclave(enclave, bytes(64), ["ab"], ["UpToDate"])


@pytest.mark.parametrize("kind", STATUS)
def test_dcap__changed_or_out_of_time(kind):
    quote, collateral = read_case(kind)
    day_s = 86400
    for now_s in (NOW_S - 10 * day_s, NOW_S + 31 * day_s, 0):
        with pytest.raises(Refused, match="does not hold"):
            dcap.verify_enclave(quote, collateral, now_s)
    for at in range(0, 432, 40):  # the header and the report of both kinds
        changed = quote[:at] + bytes([quote[at] ^ 1]) + quote[at + 1 :]
        with pytest.raises(Refused, match="does not hold"):
            dcap.verify_enclave(changed, collateral, NOW_S)
    for words in ("", "{}", "[]", "null", collateral.replace("UpToDate", "upToDate")):
        with pytest.raises(Refused, match="does not hold"):
            dcap.verify_enclave(quote, words, NOW_S)


@pytest.mark.parametrize("kind", STATUS)
def test_dcap__a_quote_of_another_job(kind):
    quote, collateral = read_case(kind)
    identity = dcap.verify_enclave(quote, collateral, NOW_S).identity
    one = {"quote": base64.b64encode(quote).decode(), "collateral": None}
    one["collateral"] = json.loads(collateral)
    policy = Approved([CODE], ["n1"], {}, [identity], list(STATUS.values()))
    assert "another nonce, key or code" in refuse({"dcap": {"n1": one}}, policy)


def test_dcap__a_quote_of_this_job(monkeypatch):
    """The public quote was made for other bytes: here, those are the job's."""
    quote, collateral = read_case("tdx")
    found = dcap.verify_enclave(quote, collateral, NOW_S)
    monkeypatch.setattr(dcap, "get_report_data", lambda *said: found.report_data)
    one = {"quote": base64.b64encode(quote).decode()}
    one["collateral"] = json.loads(collateral)
    policy = Approved([CODE], ["n1"], {}, [found.identity])
    assert prove({"dcap": {"n1": one}}, policy) == 3
    assert prove({"dcap": {"n2": one}}, policy) == 1
    assert prove({"dcap": {"n1": one}}, Approved([CODE], ["n1"])) == 1


def test_said__is_bound_to_its_kind():
    said = NONCE, PUBLIC, CODE
    words = b"n" * 32 + b"p" * 32 + b"\xab" * 32
    of_tpm = hashlib.sha256(b"hpc_connector tpm v1\0" + words).digest()
    of_tee = hashlib.sha256(b"hpc_connector tee v1\0" + words).digest()
    assert tpm.get_extra_data(*said) == of_tpm
    assert dcap.get_report_data(*said) == of_tee + bytes(32)
