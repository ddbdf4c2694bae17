"""What the names of objects say."""

import contextlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.storage import address
from hpc_connector.storage.address import (
    Source,
    beside,
    get_key,
    get_name,
    get_url,
    make_path,
    show,
    take,
)

KEYS = [
    *("plate#1.csv", "a?b", "a//b", "/a", "a/", "50%.csv", "a%20b", "a b", "a+b&c=d"),
    *("ü", "a/../b", "../a", "./a", "a\tb", "a\nb", " a ", "//", "a*|\\^~", "s3://b/k"),
]


@pytest.mark.parametrize("key", KEYS)
def test_get_key__is_all_behind_the_bucket(key):
    assert get_key(take(f"s3://bucket/{key}")) == ("bucket", key)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "s3:///key", "s3://"])
def test_get_key__there_is_none(uri):
    with pytest.raises(BadInput, match="expected s3://bucket/key"):
        get_key(uri)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///d/a%20b.csv", "/d/a b.csv"),
        ("file:///d/a%2520b.csv", "/d/a%20b.csv"),
        ("file://localhost/d/a#1?2.csv", "/d/a#1?2.csv"),
        ("FILE:///d/50%.csv", "/d/50%.csv"),
        ("file:///d//%C3%BC+", "/d//ü+"),
        ("/d/a%20b#?.csv", "/d/a%20b#?.csv"),
        ("sample:1.csv", "sample:1.csv"),
    ],
)
def test_take__of_a_file_is_its_path(uri, path):
    assert take(uri) == path


@pytest.mark.parametrize(
    "uri",
    ["gs://b/k", "s3a://b/k", "s3:/b/k", "file://host/k", "ftp://h/k", "az://b/k"],
)
def test_take__refuses_what_is_not_read(uri):
    with pytest.raises(BadInput, match=r"expected (s3://|file:///)"):
        take(uri)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("http://h/a b.csv", "http://h/a%20b.csv"),
        ("http://h/a%20b.csv", "http://h/a%20b.csv"),
        ("http://h/a%2520b.csv", "http://h/a%2520b.csv"),
        ("http://h/50%.csv", "http://h/50%25.csv"),
        ("http://h/ü/%C3%BC", "http://h/%C3%BC/%C3%BC"),
        ("http://h/a+b//c/?x=a+b&y=%2F", "http://h/a+b//c/?x=a+b&y=%2F"),
        ("HTTP://h:80?id=5", "http://h:80/?id=5"),
        ("https://[::1]:9/x?a?b", "https://[::1]:9/x?a?b"),
    ],
)
def test_get_url__is_encoded_once(uri, url):
    assert get_url(take(uri)) == url


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://h/plate#1.csv", "%23"),
        ("http://h/", "host/path"),
        ("http:///x", "host"),
    ],
)
def test_get_url__names_no_object(uri, message):
    with pytest.raises(BadInput, match=message):
        get_url(take(uri))


SIGNED = [
    "X-Amz-Algorithm=A&X-Amz-Credential=SECRET%2F1&X-Amz-Date=SECRET&X-Amz-Expires=9"
    "&X-Amz-SignedHeaders=host&X-Amz-Security-Token=SECRET&X-Amz-Signature=SECRET",
    "x-goog-credential=SECRET&X-Goog-Signature=SECRET",
    "AWSAccessKeyId=SECRET&Signature=SECRET%3D&Expires=SECRET",
    "sv=2022&se=SECRET&sr=b&sp=r&sig=SECRET%2B",
    "Expires=SECRET&Signature=SECRET&Key-Pair-Id=SECRET&Policy=SECRET",
    "token=SECRET",
    "access_token=SECRET&alt=media",
    "X%2DAmz%2DSignature=SECRET",
    "apikey=SECRET",
    "a=***&private-token=SECRET",
    "temp_url_sig=SECRET&temp_url_expires=SECRET&temp_url_prefix=SECRET",
    "hdnts=SECRET",
    "verify=SECRET",
    "ticket=SECRET",
    "rlkey=SECRET&dl=1",
    "view_only=SECRET",
    "md5=SECRET&expires=9",
]


@pytest.mark.parametrize("query", SIGNED)
def test_take__keeps_a_signature_to_itself(query):
    url = f"https://h/x.csv?version=2&{query}"
    source = Source(url)
    assert "SECRET" not in source.uri
    assert b"SECRET" not in pickle.dumps(source)
    assert "version=2" in source.uri
    assert "SECRET" not in show(url)
    assert get_url(source.uri) == url.replace("***", "%2A%2A%2A").replace("%2A", "*")
    assert Source(source.uri) == source
    assert get_url(source.beside(".tbi").uri).startswith("https://h/x.csv.tbi?version")


def test_take__of_a_user_and_password():
    shown = take("http://me:SECRET%40@h/x.csv")
    assert shown == "http://***@h/x.csv"
    assert address.split_user(get_url(shown)) == ("http://h/x.csv", "me:SECRET@")
    assert take("http://me:OTHER@h/x.csv") == "http://***2@h/x.csv"


def test_take__who_signs_again_has_the_same_object():
    one, other = (f"http://h/x?X-Amz-Date={n}&X-Amz-Signature={n}" for n in "12")
    assert take(one) == take(other)
    assert get_url(take(one)) == one
    assert take("http://h/y?token=1") != take("http://h/y?token=2")


def test_get_url__of_another_process(monkeypatch):
    shown = take("http://h/x?X-Amz-Signature=1")
    monkeypatch.setattr(address, "_known", {})
    with pytest.raises(BadInput, match="stays in the process"):
        get_url(shown)
    take("http://h/x?X-Amz-Signature=2")
    assert get_url(shown).endswith("=2")


def test_beside__comes_before_a_query_and_behind_a_key():
    assert (
        beside("http://h/a.bed?v=1.2", ".bim", without=".bed") == "http://h/a.bim?v=1.2"
    )
    assert beside("s3://b/a?v=1", ".tbi") == "s3://b/a?v=1.tbi"
    assert beside("http://h?id=1", ".tbi") == "http://h/.tbi?id=1"
    assert get_name("http://h/a.csv?b.vcf") == "http://h/a.csv"


parts = st.text("ab/.%#? ", max_size=12)


@given(st.lists(parts, min_size=2, max_size=2, unique=True))
def test_make_path__is_below_and_of_one_object(keys):
    one, other = (make_path(f"s3://b/{key}") for key in keys)
    assert one != other
    for part in one.split("/"):
        assert part not in ("", ".", "..")


def test_make_path__of_a_long_name():
    part = make_path(f"s3://b/{'x' * 1000}").rpartition("/")[2]
    assert len(part) < 200


text = st.text(st.sampled_from("ab0/%#?@:&=*.[] \n\x00ü"), max_size=20)
starts = st.sampled_from(
    ["", "s3://", "http://", "https://h/", "file://", "s3:/", "x://"]
)


@given(starts, text)
def test_take__of_any_text_is_stable_or_one_line(start, rest):
    with contextlib.suppress(BadInput):
        shown = take(start + rest)
        assert start == "file://" or take(shown) == shown
        if shown.startswith("s3"):
            assert shown == start + rest
        if address.get_scheme(shown) in address.WEB:
            assert get_url(get_url(shown)) == get_url(shown)
