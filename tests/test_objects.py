"""Objects by whatever name, of whatever server: the right one, or one line."""

import json
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from formats import make_cohort
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject, DataSlice
from hpc_connector.slices.formats.text import CSV
from hpc_connector.storage import fast, plain, s3
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import get_version, read_whole
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.stores import locate, make_source, open_store
from mdr_epistasis.program import main as mdr
from metabolite_annotation.program import main as annotate
from programs import PATIENCE_S
from s3 import BUCKET, make_client
from web import serve

MINE, OTHER = b"id,value\nmine,1\n", b"id,value\nother,2\nmore,3\n"
KEYS = [
    *("plate#1.csv", "a?b.csv", "a//b.csv", "/lead.csv", "50%.csv"),
    *(
        "a%20b.csv",
        "a b.csv",
        "a+b&c=d.csv",
        "ü.csv",
        " x .csv",
        "a%2Fb.csv",
        "*~|.csv",
    ),
    *("http://h/x.csv", "a;b,c.csv", "$a@b:c!.csv", "'a'(1)[2]{3}.csv", "a\\b.csv"),
]
DOTS = [
    "a/../b.csv",
    "../b.csv",
    "./b.csv",
    "a/./b.csv",
    "a\tb.csv",
    "..",
    "a/..",
    "trail/",
]


def get(url, *more):
    """Return what ``slices get`` of the whole writes, and its exit code."""
    return main(["slices", "get", url, "--format", "CSV", "--slices", "1", *more])


@pytest.mark.parametrize("key", KEYS)
def test_slices__a_key_is_a_key(s3_endpoint, key, capsysbinary):
    client = make_client(s3_endpoint)
    client.put_object(Bucket=BUCKET, Key="plate", Body=OTHER)
    client.put_object(Bucket=BUCKET, Key=key, Body=MINE)
    url = f"s3://{BUCKET}/{key}"
    for command in ("index", "list", "verify"):
        assert main(["slices", command, url, "--format", "CSV"]) == 0
    assert b"8 slices are the object" in capsysbinary.readouterr().out
    assert main(["slices", "index", url, "--format", "CSV", "--force"]) == 0
    capsysbinary.readouterr()
    assert get(url) == 0
    assert capsysbinary.readouterr().out == MINE
    for name, data in (("plate", OTHER), (key, MINE)):
        found = client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        assert found == data


@pytest.mark.parametrize("is_plain", [False, True])
def test_locate__asks_for_the_very_key(is_plain, monkeypatch):
    sign(monkeypatch)
    if is_plain:
        monkeypatch.setattr(fast, "is_usable", lambda key: False)
    keys = [*KEYS, *DOTS]
    objects = {
        f"/b/{quote(key, '/-._~')}": f"{n} of many".encode()
        for n, key in enumerate(keys)
    }
    with serve(objects) as web:
        for key, data in zip(keys, objects.values(), strict=True):
            source = make_source(f"s3://b/{key}", {"endpoint_url": web.address})
            version = get_version(source)
            assert fetch(source, version, [(0, 4)]) == [data[:4]], key
            assert read_whole(source) == (data, version), key


def sign(monkeypatch):
    """Have credentials, and nothing else of a user's settings."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "no one knows")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    open_store.cache_clear()


@pytest.mark.parametrize("name", ["a b.csv", "a%20b.csv", "plate#1.csv", "ü?&=+.csv"])
def test_slices__of_files_by_path_and_url(tmp_path, name, capsysbinary):
    (tmp_path / "plate").write_bytes(OTHER)
    path = tmp_path / name
    path.write_bytes(MINE)
    for url in (str(path), path.as_uri(), f"file://localhost{path.as_uri()[7:]}"):
        assert get(url) == 0
        assert capsysbinary.readouterr().out == MINE
        assert get(url, "--metadata", (tmp_path / "m#1").as_uri()) == 0
        assert capsysbinary.readouterr().out == MINE
    assert (tmp_path / "m#1").is_dir()
    assert (tmp_path / "plate").read_bytes() == OTHER


WEB_NAMES = ["/a%20b.csv", "/a//b.csv", "/a/b.csv/", "/data.csv?version=2", "/?id=2"]
WEB_NAMES += ["/a%2520b.csv", "/a+b.csv?x=a+b&y=%2F", "/%C3%BC.csv", "/50%25.csv"]


@pytest.mark.parametrize("name", WEB_NAMES)
@pytest.mark.parametrize("is_plain", [False, True])
def test_slices__of_urls(name, is_plain, tmp_path, capsysbinary, monkeypatch):
    if is_plain:
        monkeypatch.setattr(fast, "is_usable", lambda key: False)
    with serve({"/data.csv": OTHER, name: MINE}) as web:
        url, more = web.address + name, ["--metadata", str(tmp_path)]
        assert get(url, *more) == 0
        assert capsysbinary.readouterr().out == MINE
        words = ["slices", "verify", url, "--format", "CSV", *more]
        assert main(words) == 0
        assert {path for _, path, _ in web.asked} == {name}


def test_slices__of_a_url_as_it_is_typed(tmp_path, capsysbinary):
    with serve({"/a%20b.csv": MINE}) as web:
        assert get(f"{web.address}/a b.csv", "--metadata", str(tmp_path)) == 0
    assert capsysbinary.readouterr().out == MINE


SIGNED = "/x.csv?X-Amz-Credential=SECRET&X-Amz-Date=1&X-Amz-Signature=SECRET"


@pytest.mark.parametrize("command", ["index", "list", "get", "verify"])
@pytest.mark.parametrize("is_plain", [False, True])
def test_slices__of_a_signed_url(command, is_plain, tmp_path, capfd, monkeypatch):
    if is_plain:
        monkeypatch.setattr(fast, "is_usable", lambda key: False)
    with serve({SIGNED: MINE}, refused=("HEAD",)) as web:
        words = ["slices", command, web.address + SIGNED, "--metadata", str(tmp_path)]
        words += ["--slices", "1"] if command != "index" else []
        assert main([*words, *(["--json"] if command != "get" else [])]) == 0
        said = "".join(capfd.readouterr())
        if command == "list":
            part = DataSlice.from_json(
                json.dumps(json.loads(said)["slices"][0]["slice"])
            )
            assert b"mine" in part.get().encode()
            assert b"SECRET" not in pickle.dumps(part)
    kept = b"".join(
        p.read_bytes() + bytes(p) for p in tmp_path.rglob("*") if p.is_file()
    )
    assert kept
    assert b"SECRET" not in kept
    assert "SECRET" not in said
    assert command != "get" or "mine,1" in said


@pytest.mark.parametrize("refusal", [400, 401, 403, 404, 405, 501])
@pytest.mark.parametrize("is_plain", [False, True])
def test_look__whatever_refuses_a_head(refusal, is_plain, monkeypatch):
    if is_plain:
        monkeypatch.setattr(fast, "is_usable", lambda key: False)
    with serve({SIGNED: MINE}, refused=("HEAD",), refusal=refusal) as web:
        assert get_version(Source(web.address + SIGNED)).size == len(MINE)
        with pytest.raises(BadInput, match="no such object"):
            get_version(Source(web.address + "/none.csv"))


@pytest.mark.parametrize("refused", [(), ("HEAD",)])
@pytest.mark.parametrize("is_plain", [False, True])
def test_look__of_an_empty_object(refused, is_plain, monkeypatch):
    if is_plain:
        monkeypatch.setattr(fast, "is_usable", lambda key: False)
    with serve({SIGNED: b""}, refused=refused) as web:
        assert get_version(Source(web.address + SIGNED)).size == 0


def test_slices__of_a_signed_url_on_all_cores(tmp_path):
    with serve({SIGNED: MINE * 5}, refused=("HEAD",)) as web:
        words = ["slices", "index", web.address + SIGNED, "--cores"]
        assert main([*words, "--metadata", str(tmp_path)]) == 0


def test_slices__of_a_signed_url_that_has_expired(tmp_path, capfd):
    with serve({SIGNED: MINE}, refused=("HEAD", "GET")) as web:
        words = ["slices", "index", web.address + SIGNED, "--metadata", str(tmp_path)]
        assert main(words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "has expired" in line
    assert "SECRET" not in line


def test_fetch__by_user_and_password():
    with serve({"/x.csv": MINE}) as web:
        url = web.address.replace("http://", "http://me:pa%40ss@") + "/x.csv"
        assert get_version(Source(url)).size == len(MINE)
        plain.WebStore(url).look("")
    assert web.get_header("authorization") == ["Basic bWU6cGFAc3M="] * 2


def test_save_index__is_not_written_over_an_object(tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_bytes(MINE)
    co = CloudObject.from_path(CSV, str(path))
    place = Path(co.index_source.uri)
    place.parent.mkdir()
    place.write_bytes(OTHER)
    for more in ([], ["--force"]):
        assert main(["slices", "index", str(path), *more]) == 2
        assert "is no" in capsys.readouterr().err
        assert place.read_bytes() == OTHER
    place.unlink()
    assert main(["slices", "index", str(path)]) == 0
    place.write_bytes(place.read_bytes()[:40])  # of ours, cut
    assert main(["slices", "index", str(path), "--force"]) == 0
    assert co.is_preprocessed()


def test_save_index__not_over_what_may_not_be_read(tmp_path, monkeypatch):
    path, written = tmp_path / "x.csv", []
    path.write_bytes(MINE)

    def put(place, data, *, only_new):
        written.append(only_new)
        return get_version(Source(str(path)))

    monkeypatch.setattr("hpc_connector.slices.index.put", put)
    monkeypatch.setattr("hpc_connector.slices.index.read_beside", lambda place: None)
    assert main(["slices", "index", str(path), "--force"]) == 0
    assert written == [True]


@pytest.mark.parametrize(
    "key", ["a/../../b.csv", "../../../b.csv", "/b.csv", "a//b.csv"]
)
def test_index__stays_in_its_folder(key, tmp_path, monkeypatch):
    sign(monkeypatch)
    with serve({f"/b/{key}": MINE}) as web:
        config = {"endpoint_url": web.address}
        folder = tmp_path / "a/b/index"
        co = CloudObject.from_path(CSV, f"s3://b/{key}", config, str(folder))
        co.preprocess()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 1


# What boto3 knows


def get_scope(web):
    """Return the regions that requests were signed for."""
    words = [text.split("/") for text in web.get_header("authorization")]
    return {word[2] for word in words if len(word) > 2}


CONFIG = """
[default]
region = eu-north-1
[profile lab]
region = eu-south-2
services = lab
[services lab]
s3 =
  endpoint_url = {address}
"""
CREDENTIALS = """
[lab]
aws_access_key_id = LABKEY
aws_secret_access_key = LABSECRET
"""


@pytest.mark.parametrize(
    ("environment", "config", "region"),
    [
        ({}, {}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, {}, "eu-central-1"),
        ({"AWS_REGION": "eu-west-3"}, {}, "eu-west-3"),
        ({"AWS_REGION": "x-1", "AWS_DEFAULT_REGION": "eu-1"}, {}, "eu-1"),
        ({"AWS_CONFIG_FILE": "{folder}/config"}, {}, "eu-north-1"),
        ({"AWS_DEFAULT_REGION": "x-1"}, {"region_name": "y-2"}, "y-2"),
        (
            {
                "AWS_CONFIG_FILE": "{folder}/config",
                "AWS_SHARED_CREDENTIALS_FILE": "{folder}/credentials",
            },
            {"profile_name": "lab"},
            "eu-south-2",
        ),
    ],
)
def test_open_store__is_where_and_who_boto3_is(
    environment, config, region, tmp_path, monkeypatch
):
    sign(monkeypatch)
    with serve({"/b/x.csv": MINE, "/b/a//x.csv": MINE}) as web:
        (tmp_path / "config").write_text(CONFIG.format(address=web.address))
        (tmp_path / "credentials").write_text(CREDENTIALS)
        for name, value in environment.items():
            monkeypatch.setenv(name, value.format(folder=tmp_path))
        if "profile_name" in config:
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        else:
            monkeypatch.setenv("AWS_ENDPOINT_URL", web.address)
        for key in ("x.csv", "a//x.csv"):
            assert get_version(make_source(f"s3://b/{key}", config)).size == len(MINE)
    assert get_scope(web) == {region}
    who = "LABKEY" if "profile_name" in config else "id"
    assert f"Credential={who}/" in web.get_header("authorization")[0]


def test_open_store__by_the_profile_of_the_environment(tmp_path, monkeypatch):
    sign(monkeypatch)
    with serve({"/b/x.csv": MINE}) as web:
        (tmp_path / "config").write_text(CONFIG.format(address=web.address))
        (tmp_path / "credentials").write_text(CREDENTIALS)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_PROFILE", "lab")
        assert get_version(Source("s3://b/x.csv")).size == len(MINE)
    assert get_scope(web) == {"eu-south-2"}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_PROFILE": "nobody"}, "nobody"),
        ({"AWS_CONFIG_FILE": "{folder}/bad", "AWS_PROFILE": "x"}, "S3"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, "endpoint"),
    ],
)
def test_open_store__of_settings_that_boto3_refuses(
    environment, message, tmp_path, monkeypatch
):
    sign(monkeypatch)
    (tmp_path / "bad").write_text("[profile\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(folder=tmp_path))
    with pytest.raises(BadInput, match=message):
        get_version(Source("s3://b/x.csv"))


@pytest.mark.parametrize("place", ["environment", "profile"])
def test_open_store__of_an_authority_of_its_own(place, tmp_path, monkeypatch):
    sign(monkeypatch)
    (tmp_path / "config").write_text(f"[default]\nca_bundle = {tmp_path / 'ca.pem'}\n")
    if place == "profile":
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert isinstance(locate(Source("s3://b/x"))[0], plain.BucketStore) == (
        place == "profile"
    )
    open_store.cache_clear()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert isinstance(locate(Source("s3://b/x"))[0], plain.BucketStore)
    open_store.cache_clear()


SSO = """
[default]
sso_start_url = https://lab.example/start
sso_region = eu-west-1
sso_account_id = 1
sso_role_name = reader
"""


@pytest.mark.parametrize("key", ["x.csv", "a//x.csv"])
def test_open_store__of_a_login_that_has_ended(key, tmp_path, monkeypatch):
    (tmp_path / "config").write_text(SSO)
    environment = {n: v for n, v in os.environ.items() if not n.startswith("AWS")}
    environment |= {"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": str(tmp_path)}
    program = "from hpc_connector.commands.main import main; raise SystemExit(main())"
    words = ["slices", "list", f"s3://b/{key}", "--endpoint-url", "http://127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no credentials" in line
    assert "SSO Token" in line


@pytest.mark.parametrize("key", ["x.csv", "a//x.csv"])
def test_open_store__anonymous_and_requester_pays(key, monkeypatch, capsys, tmp_path):
    sign(monkeypatch)
    with serve({f"/b/{key}": MINE}) as web:
        config = {"endpoint_url": web.address, "requester_pays": True}
        get_version(make_source(f"s3://b/{key}", config))
        assert web.get_header("x-amz-request-payer") == ["requester"]
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        web.asked.clear()
        words = ["slices", "index", f"s3://b/{key}", "--endpoint-url", web.address]
        words += ["--metadata", str(tmp_path)]
        assert main([*words, "--anonymous"]) == 0
        assert set(web.get_header("authorization")) == {""}
        capsys.readouterr()
        assert main([*words, "--anonymous", "--requester-pays"]) == 2
        assert "one of them" in capsys.readouterr().err
        assert main(words) == 2
        assert "no credentials" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "style", "endpoint"),
    [
        ("", "", "https://bkt.s3.eu-west-1.amazonaws.com"),
        ("", "path", "https://s3.eu-west-1.amazonaws.com"),
        ("https://s3.example.org", "", "https://s3.example.org"),
        ("https://s3.example.org", "virtual", "https://bkt.s3.example.org"),
        ("http://127.0.0.1:1/pre", "", "http://127.0.0.1:1/pre"),
    ],
)
def test_find_bucket__is_where_boto3_finds_it(place, style, endpoint, monkeypatch):
    sign(monkeypatch)
    config = {"endpoint_url": place, "addressing_style": style}
    settings = s3.S3Settings(**config, region_name="eu-west-1")
    found = s3.find_bucket(settings, "bkt")
    assert found["aws_endpoint_url_s3"] == endpoint
    assert found["virtual_hosted_style_request"] == endpoint.startswith("https://bkt.")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"endpoint": "http://h"}, "mean endpoint_url"),
        ({"endpoint_ulr": "http://h"}, "mean endpoint_url"),
        ({"Endpoint_URL": "http://h"}, "mean endpoint_url"),
        (
            {"client_kwargs": {"endpoint_url": "h", "region_name": "r"}},
            "url and region",
        ),
        ({"anon": True}, "mean anonymous"),
        ({"region": "eu"}, "mean region_name"),
        ({"request_payer": "requester"}, "mean requester_pays"),
        ({"profile": "x"}, "mean profile_name"),
        ({"key": "x"}, "credentials from the environment"),
        ({"secret": "x"}, "credentials from the environment"),
        ({"zzz": 1}, r"'zzz': expected .*endpoint_url, region_name"),
        ({"endpoint_url": "127.0.0.1:9000"}, "expected http://"),
        ({"endpoint_url": "http://me:pw@h"}, "no user and password"),
        ({"anonymous": "perhaps"}, "expected true or false"),
        ({"addressing_style": "host"}, "expected auto"),
        ("http://h", "expected names and values"),
    ],
)
def test_make_source__refuses_settings(config, message):
    with pytest.raises(BadInput, match=message):
        CloudObject.from_path(CSV, "s3://b/x.csv", storage_config=config)


def test_make_source__of_settings_that_are_none():
    source = make_source("s3://b/k", {"endpoint_url": None, "anonymous": False})
    assert source.config == (("anonymous", "False"),)


# Versions


WHEN = "Sun, 29 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize("tag", ['W/"v1"', "", 'w/"v1"'])
@pytest.mark.parametrize("is_plain", [False, True])
def test_slices__of_weak_etags(
    tag, is_plain, tmp_path, capsysbinary, caplog, monkeypatch
):
    if is_plain:
        monkeypatch.setattr(fast, "is_usable", lambda key: False)
    with serve({"/x.csv": MINE}, tag=lambda data: tag) as web:
        url = f"{web.address}/x.csv"
        assert get(url, "--metadata", str(tmp_path)) == 2
        err = capsysbinary.readouterr().err
        assert b"weak ETags only" in err
        assert b"changed since" not in err
        web.modified = WHEN
        with caplog.at_level(logging.WARNING):
            assert get(url, "--metadata", str(tmp_path)) == 0
        assert capsysbinary.readouterr().out == MINE
        assert caplog.text.count("weak ETags only") == 1
        version = get_version(Source(url))
        web.modified = WHEN.replace("10:00", "11:00")
        with pytest.raises(BadInput, match="has changed"):
            fetch(Source(url), version, [(0, 3)])


def test_fetch__from_a_server_that_refuses_its_own_etag():
    with serve({"/x.csv": MINE}, tag=lambda data: f'"{len(data)}"') as web:
        web.refuses_match = True
        source = Source(f"{web.address}/x.csv")
        version = get_version(source)
        for _ in range(2):
            assert fetch(source, version, [(0, 3)]) == [MINE[:3]]
        web.objects["/x.csv"] = MINE + b"more"
        with pytest.raises(BadInput, match="has changed"):
            fetch(source, version, [(0, 3)])


# After a fork


FORKED = """
import multiprocessing, sys
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats.text import CSV, partition_num_chunks

def get(part):
    return len(part.get())

if __name__ == "__main__":
    co = CloudObject.from_path(CSV, sys.argv[1], metadata=sys.argv[2])
    slices = co.preprocess().partition(partition_num_chunks, num_chunks=4)
    here = [get(part) for part in slices]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(get, slices) == here
"""


@pytest.mark.parametrize("kind", ["file", "http", "s3"])
def test_slices__in_a_forked_process(kind, tmp_path, s3_endpoint):
    data = b"id,value\n" + b"".join(b"%d,1\n" % n for n in range(500))
    (tmp_path / "x.csv").write_bytes(data)
    make_client(s3_endpoint).put_object(Bucket=BUCKET, Key="forked.csv", Body=data)
    with serve({"/x.csv": data}, tag=lambda data: '"v1"') as web:
        urls = {"file": str(tmp_path / "x.csv"), "http": f"{web.address}/x.csv"}
        url = urls.get(kind, f"s3://{BUCKET}/forked.csv")
        words = [sys.executable, "-c", FORKED, url, str(tmp_path / "m")]
        (tmp_path / "fork.py").write_text(FORKED)
        words[1:3] = [str(tmp_path / "fork.py")]
        done = subprocess.run(words, timeout=PATIENCE_S, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Where results go


@pytest.mark.parametrize(
    "out",
    ["s3://b/out", "gs://b/o", "http://h/o", "file:///tmp/o", "S3:/b/o", "az://c/o"],
)
@pytest.mark.parametrize(
    ("program", "words"),
    [
        (mdr, ["run", "x.vcf", "--out"]),
        (mdr, ["simulate", "--out"]),
        (annotate, ["run", "x.imzML", "--database", "x.tsv", "--out"]),
        (main, ["slices", "get", "x.csv", "--out"]),
        (main, ["slices", "list", "x.csv", "--svg"]),
        (main, ["telemetry", "train", "--out"]),
        (main, ["inspect", "x", "--html"]),
        (main, ["submit", "mdr-epistasis", "run", "x.vcf", "--out"]),
    ],
)
def test_out__is_no_store(program, words, out, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = program([*words, out])
    except SystemExit as end:
        code = end.code
    assert code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "of this machine" in line
    assert not list(tmp_path.iterdir())


def test_out__of_a_file_is_no_store(capsys, tmp_path):
    (tmp_path / "c.toml").write_text('out = "s3://b/out"\n')
    words = ["run", "x.vcf", "--config", str(tmp_path / "c.toml")]
    assert mdr(words) == 2
    assert "of this machine" in capsys.readouterr().err


# Both programs

COHORT = "--variants 40 --individuals 100 --heritability 0.3 --maf 0.4 --pure"


def test_epistasis__of_a_signed_url_and_odd_keys(s3_endpoint, tmp_path, capfd):
    make_cohort(tmp_path, COHORT)
    client = make_client(s3_endpoint)
    names = {"chr 1#a//x.vcf.gz": "bgzip.vcf.gz", "who?#1.tsv": "labels.tsv"}
    for key, name in names.items():
        client.upload_file(str(tmp_path / name), BUCKET, key)
    options = {"Bucket": BUCKET, "Key": "chr 1#a//x.vcf.gz"}
    signed = client.generate_presigned_url("get_object", options)
    labels = f"s3://{BUCKET}/who?#1.tsv"
    genotypes = [
        (tmp_path / "bgzip.vcf.gz").as_uri(),
        f"s3://{BUCKET}/chr 1#a//x.vcf.gz",
    ]
    found = []
    for number, url in enumerate([*genotypes, signed]):
        out = tmp_path / f"out{number}"
        words = ["run", url, "--labels", labels, "--folds", "2", "--quiet"]
        assert mdr([*words, "--out", str(out)]) == 0
        found.append((out / "models.tsv").read_bytes())
    assert len(set(found)) == 1
    for secret in ("Signature=", "AWSAccessKeyId="):
        value = signed.partition(secret)[2].partition("&")[0]
        assert value
        assert value not in "".join(capfd.readouterr())
        for path in out.rglob("*"):
            assert path.is_dir() or value.encode() not in path.read_bytes(), path


def test_epistasis__of_companions_behind_queries(tmp_path):
    make = ["simulate", "--out", str(tmp_path / "bed"), *COHORT.split()]
    assert mdr(make) == 0
    query = "?v=1&X-Amz-Date=1&X-Amz-Signature=2"
    objects = {
        f"/{name}{query}": (tmp_path / name).read_bytes()
        for name in ("bed.bed", "bed.bim", "bed.fam")
    }
    found = []
    with serve(objects, refused=("HEAD",)) as web:
        bed, bim, fam = (f"{web.address}{name}" for name in objects)
        for number, words in enumerate(
            (
                [str(tmp_path / "bed.bed")],
                [bed, "--bim", bim, "--fam", fam],
                [bed, "--labels", fam],
            )
        ):
            out = tmp_path / f"out{number}"
            words = ["run", *words, "--folds", "2", "--quiet", "--out", str(out)]
            assert mdr(words) == 0
            found.append((out / "models.tsv").read_bytes())
    assert len(set(found)) == 1
