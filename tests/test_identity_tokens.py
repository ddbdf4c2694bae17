"""Tokens: the golden ones, and those that somebody makes to be let in."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.confidential.identity.claims import (
    Claims,
    Settings,
    has_role,
    read_role,
)
from hpc_connector.confidential.identity.key_set import Keys
from hpc_connector.confidential.identity.tokens import MOST_CHARACTERS, validate_token
from hpc_connector.confidential.identity.web import Unreachable
from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput

GOLDEN = Path(__file__).parent / "data" / "confidential" / "tokens"
CASES = json.loads((GOLDEN / "cases.json").read_text())
ROLE = "realm_access.roles=nd-role"
NOW_S = 1_790_000_000
OURS = Settings("https://id.example.org/realms/neardata", "hpc-connector-keeper")
VALID = {
    "iss": OURS.issuer,
    "aud": OURS.audience,
    "sub": "5f1c",
    "typ": "Bearer",
    "preferred_username": "alice",
    "iat": NOW_S - 10,
    "exp": NOW_S + 290,
    "realm_access": {"roles": ["nd-role"]},
}
RSA = rsa.generate_private_key(65537, 2048)
SMALL = rsa.generate_private_key(65537, 1024)
STRANGER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
PRIVATE = {"rsa": RSA, "small": SMALL, "ec": EC}


def encode(data):
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_number(number):
    return encode(number.to_bytes(-(-number.bit_length() // 8), "big"))


def make_jwk(name, key, **more):
    """Return the public part of a key, as an issuer publishes it."""
    numbers = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        said = {"kty": "RSA", "n": encode_number(numbers.n), "e": "AQAB"}
    else:
        said = {"kty": "EC", "crv": "P-256"}
        said |= {"x": encode(numbers.x.to_bytes(32, "big"))}
        said |= {"y": encode(numbers.y.to_bytes(32, "big"))}
    return {"kid": name, **said, **more}


KEYS = [
    make_jwk("rsa", RSA, use="sig"),
    make_jwk("ec", EC),
    make_jwk("small", SMALL),
    make_jwk("enc", RSA, use="enc"),
    make_jwk("pss", RSA, alg="PS256"),
    make_jwk("twice", RSA),
    make_jwk("twice", STRANGER),
    {"kid": "oct", "kty": "oct", "k": encode(b"k" * 32)},
    {"kid": "broken", "kty": "RSA", "n": "!", "e": "AQAB"},
    {"kid": "empty", "kty": "RSA"},
    {"kty": "RSA"},
]


def find(name):
    return [key for key in KEYS if key.get("kid") == name]


def sign(data, algorithm, key):
    """Return a signature by the library alone."""
    if algorithm.startswith("HS"):
        return hmac.digest(key, data, hashlib.sha256)
    if algorithm == "PS256":
        salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return key.sign(data, salted, hashes.SHA256())
    if algorithm == "ES256":
        pair = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in pair)
    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def make(payload=VALID, header=None, key=RSA, by="RS256"):
    """Return a token; what is no bytes is written as JSON."""
    header = {"alg": by, "kid": "rsa"} if header is None else header
    parts = [
        encode(one if isinstance(one, bytes) else json.dumps(one).encode())
        for one in (header, payload)
    ]
    data = ".".join(parts)
    return f"{data}.{encode(sign(data.encode(), by, key))}"


def validate(token, settings=OURS):
    return validate_token(token, settings, find=find, now_s=NOW_S)


def refuse(token):
    """Return the word of a refusal that says nothing of the token."""
    with pytest.raises(Refused) as caught:
        validate(token)
    said = str(caught.value)
    assert said.startswith(f"{caught.value.word}: ")
    assert not [part for part in token.split(".") if len(part) > 9 and part in said]
    return caught.value.word


def change(**more):
    """Return the claims of a valid token, changed; None removes one."""
    return {k: v for k, v in (VALID | more).items() if v is not None}


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["file"])
def test_validate_token__golden(case):
    keys = json.loads((GOLDEN / "jwks.json").read_text())["keys"]
    settings = Settings(CASES["issuer"], CASES["audience"], case["role"])
    try:
        claims = validate_token(
            (GOLDEN / case["file"]).read_text().strip(),
            settings,
            find=lambda name: [key for key in keys if key["kid"] == name],
            now_s=CASES["now"],
        )
        verdict = "accept" if has_role(claims, settings.role) else "refuse"
    except Refused:
        verdict = "refuse"
    assert verdict == case["verdict"], case["why"]


@pytest.mark.parametrize(
    ("by", "name"),
    [("RS256", "rsa"), ("PS256", "rsa"), ("PS256", "pss"), ("ES256", "ec")],
)
def test_validate_token__by_each_algorithm(by, name):
    header = {"alg": by, "kid": name, "typ": "at+jwt", "jku": "https://evil.example"}
    claims = validate(make(header=header, key=PRIVATE.get(name, RSA), by=by))
    assert (claims.subject, claims.name) == ("5f1c", "alice")
    assert claims.expires_s == NOW_S + 290
    assert "nd-role" not in repr(claims)


@pytest.mark.parametrize(
    "more",
    [
        {"aud": ["account", OURS.audience]},
        {"typ": None},
        {"exp": NOW_S - 29, "iat": NOW_S - 300},
        {"exp": NOW_S + 289.5},
        {"iat": NOW_S + 30, "nbf": NOW_S + 30},
        {"preferred_username": None},
        {"preferred_username": ["alice"]},
    ],
    ids=str,
)
def test_validate_token__accepts(more):
    assert has_role(validate(make(change(**more))), ROLE)


@pytest.mark.parametrize("name", ["none", "None", "nOnE", "NONE", "", None, ["RS256"]])
def test_validate_token__without_an_algorithm(name):
    token = make(header={"alg": name, "kid": "rsa"})
    assert refuse(token) == "algorithm"
    unsigned = token.rpartition(".")[0] + "."
    assert refuse(unsigned) == "form"


def test_validate_token__of_the_public_key_as_a_secret():
    public = RSA.public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        KEYS[0]["n"].encode(),
        json.dumps(KEYS[0]).encode(),
        b"",
    ]
    for secret in forms:
        assert refuse(make(key=secret, by="HS256")) == "algorithm"
        header = {"alg": "RS256", "kid": "rsa"}
        assert refuse(make(header=header, key=secret, by="HS256")) == "signature"


def test_validate_token__of_the_secret_of_a_key_set():
    token = make(header={"alg": "HS256", "kid": "oct"}, key=b"k" * 32, by="HS256")
    assert refuse(token) == "algorithm"
    token = make(header={"alg": "RS256", "kid": "oct"}, key=b"k" * 32, by="HS256")
    assert refuse(token) == "key"


def test_validate_token__with_algorithms_that_no_settings_allow():
    settings = Settings(OURS.issuer, OURS.audience, algorithms=("HS256", "none"))
    token = make(header={"alg": "HS256", "kid": "oct"}, key=b"k" * 32, by="HS256")
    with pytest.raises(Refused, match=r"^algorithm: "):
        validate(token, settings)


@pytest.mark.parametrize(
    "name",
    [
        *(None, "", 1, ["rsa"], {"rsa": 1}, True, "k" * 300),
        *("RSA", "rsa ", "rsa\0", "../rsa", "' or 1=1 --"),
        *("enc", "twice", "broken", "empty", "ec", "small", "pss"),
    ],
    ids=str,
)
def test_validate_token__of_no_key_that_signs(name):
    key = SMALL if name == "small" else RSA
    assert refuse(make(header={"alg": "RS256", "kid": name}, key=key)) == "key"


@pytest.mark.parametrize(
    ("by", "name"), [("ES256", "rsa"), ("RS256", "ec"), ("RS256", "pss")]
)
def test_validate_token__of_a_key_of_another_algorithm(by, name):
    token = make(
        header={"alg": by, "kid": name}, key=EC if by == "ES256" else RSA, by=by
    )
    assert refuse(token) == "key"


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_validate_token__brings_its_own_key(name):
    own = {"jwk": make_jwk("rsa", STRANGER), "x5c": ["MIIB"]}
    said = own.get(name, "http://127.0.0.1/keys")
    header = {"alg": "RS256", "kid": "rsa", name: said}
    assert refuse(make(header=header, key=STRANGER)) == "signature"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"b64": True},
        {"zip": "DEF"},
        {"crit": []},
    ],
    ids=str,
)
def test_validate_token__with_extensions(header):
    assert refuse(make(header={"alg": "RS256", "kid": "rsa"} | header)) == "form"


@pytest.mark.parametrize(
    "kind", ["dpop+jwt", "logout+jwt", "JWE", None, 1, ["JWT"], ""]
)
def test_validate_token__of_another_type(kind):
    header = {"alg": "RS256", "kid": "rsa", "typ": kind}
    assert refuse(make(header=header)) == "type"


@pytest.mark.parametrize(
    "kind", ["ID", "Refresh", "Offline", "bearer", "", 1, ["Bearer"], False]
)
def test_validate_token__that_is_no_access_token(kind):
    assert refuse(make(change(typ=kind))) == "type"


def test_validate_token__of_type_null():
    assert refuse(make(VALID | {"typ": None})) == "type"


@pytest.mark.parametrize(
    "audience",
    [
        None,
        "",
        [],
        "hpc-connector",
        "hpc-connector-keeper2",
        "x-hpc-connector-keeper",
        "account hpc-connector-keeper",
        "HPC-connector-keeper",
        "hpc-connector-keeper\n",
        ["hpc-connector-keeper2", "hpc"],
        ["account", ["hpc-connector-keeper"]],
        ["hpc-connector-keeper", 1],
        {"hpc-connector-keeper": True},
        [{"hpc-connector-keeper": True}],
        True,
        0,
        list("hpc-connector-keeper"),
    ],
    ids=str,
)
def test_validate_token__for_another_audience(audience):
    assert refuse(make(change(aud=audience))) == "audience"


def test_validate_token__for_the_audience_that_keycloak_gives():
    with pytest.raises(Refused, match=r"Keycloak gives aud: account unless .* mapper"):
        validate(make(change(aud="account")))


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        OURS.issuer + "/",
        OURS.issuer + "2",
        OURS.issuer[:-1],
        OURS.issuer.upper(),
        OURS.issuer.replace("https", "http"),
        [OURS.issuer],
        {"a": OURS.issuer},
        1,
    ],
    ids=str,
)
def test_validate_token__of_another_issuer(issuer):
    assert refuse(make(change(iss=issuer))) == "issuer"


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "time",
    [str(NOW_S), str(NOW_S + 100), "", True, [NOW_S], {}, -1, 10**400, 2**53],
    ids=lambda time: str(time)[:12],
)
def test_validate_token__with_a_time_that_is_none(name, time):
    assert refuse(make(change(**{name: time}))) == "time"


@pytest.mark.parametrize(
    "more",
    [
        {"exp": NOW_S - 30},
        {"exp": 0},
        {"exp": None},
        {"iat": None},
        {"iat": NOW_S + 31},
        {"nbf": NOW_S + 31},
        {"iat": NOW_S - 11},  # which makes it live 301 s
        {"exp": 10**12},
    ],
    ids=str,
)
def test_validate_token__out_of_time(more):
    assert refuse(make(change(**more))) == "time"


def test_validate_token__with_a_time_of_null():
    assert refuse(make(VALID | {"nbf": None})) == "time"


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000]
)
def test_validate_token__with_a_number_that_is_none(number):
    text = json.dumps(VALID).replace(str(VALID["exp"]), number)
    assert refuse(make(text.encode())) in ("form", "time")


@pytest.mark.parametrize(
    "subject", [None, "", 5, ["5f1c"], True, "x" * 256, "a\nb", "a\x1b[2Jb", "\ud800"]
)
def test_validate_token__of_nobody(subject):
    assert refuse(make(change(sub=subject))) == "subject"


@pytest.mark.parametrize("name", VALID)
def test_validate_token__with_a_key_twice(name):
    said = json.dumps(VALID)
    for other in ('"x"', json.dumps(VALID[name])):
        more = f'"{name}": {other}'
        for text in (f"{{{more}, {said[1:]}", f"{said[:-1]}, {more}}}"):
            assert refuse(make(text.encode())) == "form"


def test_validate_token__with_a_key_twice_within():
    roles = '"realm_access": {"roles": ["nd-role"], "roles": []}'
    text = json.dumps(change(realm_access=None))[:-1] + f", {roles}}}"
    assert refuse(make(text.encode())) == "form"
    header = b'{"alg": "none", "alg": "RS256", "kid": "rsa"}'
    assert refuse(make(header=header)) == "form"
    escaped = json.dumps(VALID)[:-1] + r', "\u0061ud": "hpc-connector-keeper"}'
    assert refuse(make(escaped.encode())) == "form"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'a': 1}",
        json.dumps(VALID).encode() + b" {}",
        json.dumps(VALID).encode("utf-16"),
        json.dumps(VALID).encode("utf-32"),
        json.dumps(VALID).encode("utf-8-sig"),
        json.dumps(VALID).encode()[:-1] + b', "x": "\xff"}',
        b'{"a":' * 1500 + b"1" + b"}" * 1500,
        b"[" * 5000,
    ],
    ids=lambda payload: payload[:9].hex(),
)
def test_validate_token__that_holds_no_object(payload):
    assert refuse(make(payload)) == "form"
    assert refuse(make(header=payload)) == "form"


def test_validate_token__written_otherwise():
    token = make()
    head, body, signature = token.split(".")
    after = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same = signature[:-1] + after[after.index(signature[-1]) + 1]  # the same bytes
    for other in (
        "",
        ".",
        "..",
        head,
        f"{head}.{body}",
        f"{token}.",
        f".{token}",
        f"{token}.{signature}",
        f"{head}.{body}.x.y.{signature}",
        f"{head}..{signature}",
        f"{token}\n",
        f" {token}",
        f"Bearer {token}",
        f"{token}==",
        f"{head}.{body}.{same}",
        f"{head}.{body}.A",
        f"{head}.{body}\0.{signature}",
        token.replace(".", "\u2024"),
        f"{head}.{body}.\uff21{signature[1:]}",
    ):
        assert refuse(other) == "form"


def test_validate_token__that_is_huge():
    token = make(VALID | {"x": "y" * MOST_CHARACTERS})
    assert refuse(token) == "size"
    assert refuse("." * (1 << 24)) == "size"
    assert validate(make(VALID | {"x": "y" * 10_000})).subject == "5f1c"


@given(st.data())
def test_validate_token__with_one_character_changed(data):
    token = make()
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda one: one != token[at]))
    with pytest.raises(Refused):
        validate(token[:at] + other + token[at + 1 :])


@given(st.lists(st.text(max_size=40), max_size=5))
def test_validate_token__of_any_text(parts):
    with pytest.raises(Refused):
        validate(".".join(parts))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda more: st.lists(more, max_size=3) | st.dictionaries(st.text(), more),
    max_leaves=6,
)


@given(st.sampled_from([name for name in VALID if name[0] != "p"][:6]), JSON)
def test_validate_token__of_any_claim(name, value):
    """Whatever a claim is, it is the valid one or is refused."""
    try:
        claims = validate(make(VALID | {name: value}))
    except Refused:
        return
    assert claims.values["iss"] == OURS.issuer
    assert OURS.audience in claims.values["aud"]
    assert name in ("sub", "exp", "iat") or value == VALID[name]


ROLES = {"realm_access": {"roles": ["nd-role"]}}


@pytest.mark.parametrize(
    ("values", "role", "held"),
    [
        (ROLES, ROLE, True),
        ({"groups": ["/lab/nd-role"]}, "groups=/lab/nd-role", True),
        ({"groups": ["cn=nd,dc=x"]}, "groups=cn=nd,dc=x", True),
        ({"r": {"a.b": {"roles": ["x"]}}}, r"r.a\.b.roles=x", True),
        ({"r": {"a.b": {"roles": ["x"]}}}, "r.a.b.roles=x", False),
        ({"realm_access.roles": ["nd-role"]}, ROLE, False),
        ({"realm_access": {"roles": ["nd-role-viewer"]}}, ROLE, False),
        ({"realm_access": {"roles": ["ND-ROLE", " nd-role", "nd-role "]}}, ROLE, False),
        ({"realm_access": {"roles": "nd-role"}}, ROLE, False),
        ({"realm_access": {"roles": "a nd-role b"}}, ROLE, False),
        ({"realm_access": {"roles": {"nd-role": True}}}, ROLE, False),
        ({"realm_access": {"roles": [["nd-role"]]}}, ROLE, False),
        ({"realm_access": {"roles": [{"nd-role": 1}, 1, None]}}, ROLE, False),
        ({"realm_access": {"roles": None}}, ROLE, False),
        ({"realm_access": ["roles", "nd-role"]}, ROLE, False),
        ({"realm_access": [{"roles": ["nd-role"]}]}, ROLE, False),
        ({"realm_access": "roles"}, ROLE, False),
        ({"roles": ["nd-role"]}, ROLE, False),
        ({"x": ROLES}, ROLE, False),
        ({"realm_access": {"x": {"roles": ["nd-role"]}}}, ROLE, False),
        ({"resource_access": {"other": {"roles": ["nd-role"]}}}, ROLE, False),
        ({}, ROLE, False),
        (ROLES, "realm_access.roles=nd", False),
        (ROLES, "realm_access=roles", False),
        (ROLES, "realm_access.roles.0=nd-role", False),
        (ROLES, "realm_access.roles.nd-role=nd-role", False),
    ],
    ids=str,
)
def test_has_role__is_an_element_at_a_path(values, role, held):
    assert has_role(Claims("5f1c", "", 0.0, values), role) is held


@pytest.mark.parametrize(
    "role", ["", "=", "a=", "=nd-role", "a..b=c", ".a=c", "a.=c", "realm_access.roles"]
)
def test_read_role__that_is_none(role):
    with pytest.raises(BadInput, match="expected PATH=VALUE"):
        read_role(role)


class Issuer:
    """Keys of an issuer, the time, and how often it was asked."""

    def __init__(self):
        self.names, self.asked, self.now_s, self.answers = ["one"], 0, 0.0, True

    def fetch(self):
        self.asked += 1
        if not self.answers:
            raise Unreachable("it does not answer")
        return [{"kid": name} for name in self.names]


@pytest.fixture
def issuer():
    return Issuer()


@pytest.fixture
def keys(issuer):
    return Keys(issuer.fetch, lambda: issuer.now_s)


def test_keys__are_asked_for_again_after_300_s(issuer, keys):
    for now_s, asked in ((0, 1), (1, 1), (299, 1), (300, 2), (599, 2), (600, 3)):
        issuer.now_s = now_s
        assert keys.find("one") == [{"kid": "one"}]
        assert issuer.asked == asked
    issuer.names, issuer.now_s = ["two"], 900  # a key that was taken back
    assert keys.find("one") == []


def test_keys__unknown_are_asked_for_once_in_30_s(issuer, keys):
    for now_s, asked in ((0, 1), (0, 1), (29, 1), (30, 2), (59, 2), (60, 3)):
        issuer.now_s = now_s
        assert keys.find(f"made up at {now_s}") == []
        assert issuer.asked == asked
    issuer.names, issuer.now_s = ["one", "new"], 90
    assert keys.find("new") == [{"kid": "new"}]
    assert (keys.find("one"), issuer.asked) == ([{"kid": "one"}], 4)


def test_keys__of_an_issuer_that_does_not_answer(issuer, keys):
    keys.find("one")
    issuer.answers, issuer.now_s = False, 300
    for now_s, asked in ((300, 2), (304, 2), (305, 3), (309, 3)):
        issuer.now_s = now_s
        with pytest.raises(Unreachable):
            keys.find("one")
        assert issuer.asked == asked
    issuer.answers, issuer.now_s = True, 310
    assert keys.find("one") == [{"kid": "one"}]
