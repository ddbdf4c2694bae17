"""Runs with --encrypt-to: the same results, and nothing of them to read on any disk."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

import mdr_epistasis
import metabolite_annotation
from encrypted_runs import (
    SECRET,
    WORDS,
    Session,
    check_same,
    decrypt,
    find_plaintext,
    find_shared,
    make_keys,
    take_samples,
)
from hpc_connector.commands.main import main as hpc_connector
from hpc_connector.errors import BadInput
from hpc_connector.locks.folder_lock import NAME as LOCK
from hpc_connector.manifest import read_manifest
from hpc_connector.pipeline.progress import read_progress
from imzml import plant_lipids
from mdr_epistasis import program as search
from metabolite_annotation import program as annotate
from programs import wait_for

KILLS = 8  # of each program
MAINS = {"mdr_epistasis": search.main, "metabolite_annotation": annotate.main}
PROGRAMS = pytest.mark.parametrize("program", MAINS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("encrypted")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(folder):
    """Keep isotope patterns away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@pytest.fixture(scope="module")
def keys(folder):
    return make_keys(folder)


@pytest.fixture(scope="module")
def words(folder):
    """Return the arguments of a run of each program, whose inputs have secret names."""
    inputs = folder / "inputs"
    inputs.mkdir()
    options = "--variants 40 --individuals 200 --heritability 0.2 --maf 0.3 --seed 1"
    assert search.main(["simulate", "--out", f"{inputs}/x", *options.split()]) == 0
    for ending, column in (("bim", 1), ("fam", 1)):
        path = inputs / f"x.{ending}"
        rows = [line.split() for line in path.read_text().splitlines()]
        for row in rows:
            row[column] = SECRET + row[column]
        path.write_text("".join("\t".join(row) + "\n" for row in rows))
    imzml, database = plant_lipids(inputs)
    database.write_text(database.read_text().replace("lipid", f"{SECRET} lipid"))
    exports = "csv,metaspace,imzml,anndata"
    of_annotation = [imzml, "--database", database, "--instrument", "FTICR"]
    of_annotation += ["--export", exports, "--colocalisation", "--pixel-size", "50"]
    found = {
        "mdr_epistasis": [inputs / "x.bed", "--permutations", "20"],
        "metabolite_annotation": of_annotation,
    }
    return {n: ["run", *map(str, given), "--quiet"] for n, given in found.items()}


@pytest.fixture(scope="module")
def plain(folder, words):
    """Return the results of each program that anybody can read."""
    made = {}
    for name, main in MAINS.items():
        made[name] = folder / f"plain_{name}"
        assert main([*words[name], "--out", str(made[name])]) == 0
    return made


@pytest.fixture(scope="module")
def sealed(folder, words, plain, keys):
    """Return the same arguments with encrypted inputs, and bytes of what they hold."""
    (folder / "sealed").mkdir()
    found = {}
    for name, given in words.items():
        inputs = [w for w in given if w.startswith(f"{folder}/inputs")]
        beside = [
            file for w in inputs for file in Path(w).parent.glob(f"{Path(w).stem}*")
        ]
        command = ["encrypt", *map(str, beside), "--to", f"{keys[1]}.pub"]
        assert hpc_connector([*command, "--out", f"{folder}/sealed"]) == 0
        changed = [
            f"{folder}/sealed/{Path(w).name}.c4gh" if w in inputs else w for w in given
        ]
        samples = [file.read_bytes()[500:532] for file in beside]
        found[name] = changed, samples
    return found


@pytest.fixture
def to(keys):
    """Return the options of who can read results, and who runs."""
    lab, me = keys
    return ["--encrypt-to", f"{lab}.pub", "--key", f"{me}.sec"]


def refuse(capsys, main, *words):
    """Return the one line of a command that ends with code 2."""
    capsys.readouterr()
    assert main([*map(str, words)]) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    return said.err


@PROGRAMS
def test_run__killed_at_any_moment_leaves_nothing_to_read(
    program, sealed, plain, keys, to, tmp_path
):
    """Also while it lives: at each moment it looks for itself."""
    out, cache, temporary = (tmp_path / name for name in ("out", "cache", "tmp"))
    temporary.mkdir()
    words, samples = sealed[program]
    given = [*words, *to]
    if program == "metabolite_annotation":
        given += ["--scratch", str(temporary)]
    seen = [out, tmp_path / "whole", cache, temporary]
    places = {"XDG_CACHE_HOME": str(cache), "TMPDIR": str(temporary)}
    samples = samples + take_samples(plain[program] / "results.h5")
    rng, start_s = random.Random(program), time.time()
    with closing(Session(program, seen, samples, **places)) as session:
        assert session.run(None, *given, "--out", tmp_path / "first")[0] == 0
        watched = ["--telemetry", "--out", tmp_path / "whole"]
        code, moments, leaks = session.run(0, *given, *watched)
        assert (code, leaks) == (0, [])
        assert moments > 2 * KILLS
        for moment in sorted(rng.sample(range(1, moments + 1), KILLS)):
            code, *_ = session.run(moment, *given, "--out", out, "--resume")
            assert code in (-9, 0)
            (out / LOCK).unlink(missing_ok=True)
            assert find_plaintext([tmp_path], [*WORDS, *samples]) == []
            assert find_shared(start_s) == []
        assert session.run(0, *given, "--out", out, "--resume")[::2] == [0, []]
    assert (tmp_path / "whole/telemetry").exists()
    for path in (out, tmp_path / "whole"):
        check_same(path, plain[program], f"{keys[0]}.sec")


@PROGRAMS
def test_run__on_ranks_killed_leaves_nothing_to_read(
    program, sealed, plain, keys, to, tmp_path
):
    words, samples = sealed[program]
    command = ["mpirun", "-n", "2", program.replace("_", "-"), *words, *to]
    command += ["--out", tmp_path / "out", "--resume"]
    places = {"TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    start_s = time.time()
    run = subprocess.Popen(
        command,
        env=os.environ | places,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: (tmp_path / "out/ledger").exists() or run.poll() is not None)
    time.sleep(random.uniform(0, 0.5))  # any moment will do
    for pid in find_processes(str(tmp_path / "out")):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.wait()
    wait_for(lambda: not find_processes(str(tmp_path / "out")))
    assert find_plaintext([tmp_path], [*WORDS, *samples]) == []
    assert find_shared(start_s) == []
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check_same(tmp_path / "out", plain[program], f"{keys[0]}.sec")


def find_processes(word):
    """Return the processes whose command line has a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@PROGRAMS
@pytest.mark.parametrize("ranks", [1, 3])
def test_run__any_ranks_write_the_same(
    program, ranks, words, plain, keys, to, tmp_path
):
    command = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command += [program.replace("_", "-"), *words[program], *to]
    done = subprocess.run(
        [*command, "--out", tmp_path / "out"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    check_same(tmp_path / "out", plain[program], f"{keys[0]}.sec")


@PROGRAMS
def test_run__says_counts_and_paths_alone(program, words, to, tmp_path, capfd):
    for k, more in enumerate([[], ["--json"]]):
        out = tmp_path / str(k)
        assert MAINS[program]([*words[program], *to, *more, "--out", str(out)]) == 0
        said = capfd.readouterr()
        assert SECRET not in said.out + said.err
        assert str(out) in said.out
        if more:
            told = json.loads(said.out)
            values = [v for v in told.values() if not isinstance(v, dict)]
            assert {type(value) for value in values} == {int, str}
        shown = (out / "manifest.json").read_text()
        assert SECRET not in shown
        assert not {"cohort", "annotation", "dataset"} & json.loads(shown).keys()


@PROGRAMS
def test_resume__needs_the_key_of_the_run(
    program, words, plain, keys, to, tmp_path, capsys
):
    out, main = tmp_path / "out", MAINS[program]
    given = [*words[program], "--out", out]
    with closing(Session(program, [out])) as session:
        moment = session.run(0, *given, *to)[1] // 2
        out.rename(tmp_path / "whole")
        session.run(moment, *given, *to)
    (out / LOCK).unlink()
    ledger = list((out / "ledger").iterdir())
    assert ledger, "killed before the first task was recorded"
    assert read_progress(out, read_manifest(out)) is None  # whoever asks has no key
    make_keys(tmp_path)
    recipients = to[:2]
    said = refuse(capsys, main, *given, "--resume", *recipients)
    assert "expected --key" in said
    said = refuse(
        capsys,
        main,
        *given,
        "--resume",
        *recipients,
        "--key",
        tmp_path / "me.sec",
    )
    assert "no packet for this key" in said
    said = refuse(capsys, main, *given, "--resume", "--key", f"{keys[1]}.sec")
    assert "recipients was" in said
    lab = [*recipients, "--key", f"{keys[0]}.sec"]
    assert main([*map(str, given), "--resume", *lab]) == 0
    check_same(out, plain[program], f"{keys[0]}.sec")


@pytest.mark.parametrize(
    ("program", "option"),
    [
        ("mdr_epistasis", ["--all-models"]),
        ("mdr_epistasis", ["--compat", "bsc"]),
        ("mdr_epistasis", ["--burst", "nowhere.yaml"]),
        ("metabolite_annotation", ["--burst", "nowhere.yaml"]),
        ("metabolite_annotation", ["--export", "spatialdata"]),
    ],
)
def test_run__refuses_what_nothing_encrypts(program, option, keys, tmp_path, capsys):
    words = ["run", tmp_path / "nowhere.imzML", "--out", tmp_path / "out", *option]
    if program == "metabolite_annotation":
        words += ["--database", tmp_path / "nowhere.tsv"]
    said = refuse(capsys, MAINS[program], *words, "--encrypt-to", f"{keys[0]}.pub")
    assert " ".join(option[:1]) in said
    assert "not for --encrypt-to" in said
    assert not (tmp_path / "out").exists()


@PROGRAMS
def test_run__of_a_key_that_cannot_be_read_writes_nothing(
    program, words, tmp_path, capsys
):
    wrong = tmp_path / "wrong.pub"
    wrong.write_text("no key")
    for path in (wrong, tmp_path / "nowhere.pub"):
        given = [*words[program], "--out", tmp_path / "out", "--encrypt-to", path]
        assert str(path) in refuse(capsys, MAINS[program], *given)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("metabolite_annotation", "results"),
        ("mdr_epistasis", "results"),
        ("mdr_epistasis", "inputs"),
        ("mdr_epistasis", "none"),
    ],
)
def test_run__leaves_no_core_file(program, kind, words, sealed, to, tmp_path):
    """The limit is there on each rank while the program runs, and not after it."""
    code = (
        f"import os, resource, sys; from hpc_connector import publish\n"
        f"from {program} import program\n"
        "kept, limits = publish._publish, set()\n"
        "def note(*given, **more):\n"
        "    limits.add(resource.getrlimit(resource.RLIMIT_CORE)[0])\n"
        "    return kept(*given, **more)\n"
        "publish._publish = note\n"
        "code = program.main(sys.argv[1:])\n"
        "after = resource.getrlimit(resource.RLIMIT_CORE)[0]\n"
        f"told = f'{tmp_path}/{{os.getpid()}}.told'\n"
        "open(told, 'w').write(f'{code} {limits} {after}')"
    )
    given = {"results": [*words[program], *to[:2]], "none": words[program]}
    given["inputs"] = [*sealed[program][0], *to[2:]]
    ranks = ["mpirun", "-n", "2"] if kind == "inputs" else []
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    before = 4096 if most == resource.RLIM_INFINITY else min(4096, most)
    subprocess.run(
        [*ranks, sys.executable, "-c", code, *given[kind], "--out", tmp_path / "out"],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (before, most)),
    )
    told = [path.read_text() for path in tmp_path.glob("*.told")]
    limit = before if kind == "none" else 0
    assert told == [f"0 {{{limit}}} {before}"] * (2 if ranks else 1)


def test_report__of_encrypted_results(words, plain, keys, to, tmp_path, capsys):
    lab, me = keys
    for name, main in MAINS.items():
        out = str(tmp_path / name)
        assert main([*words[name], *to, "--out", out]) == 0
        page = decrypt(tmp_path / name / "report.html.c4gh", f"{lab}.sec")
        assert "expected --key" in refuse(capsys, main, "report", out)
        said = refuse(capsys, main, "report", out, "--key", f"{me}.sec")
        assert "no packet for this key" in said
        key = ["--key", f"{lab}.sec"]
        assert "expected --encrypt-to" in refuse(capsys, main, "report", out, *key)
        assert main(["report", out, *key, "--encrypt-to", f"{me}.pub"]) == 0
        again = decrypt(tmp_path / name / "report.html.c4gh", f"{me}.sec")
        assert again == page
        said = refuse(capsys, main, "report", plain[name], *to[:2])
        assert "no encrypted results" in said
        assert find_plaintext([tmp_path]) == []


def test_export__of_encrypted_results(words, plain, keys, to, tmp_path, capsys):
    lab, me = keys
    name, main = "metabolite_annotation", annotate.main
    given = [word for word in words[name] if word not in ("--export",)]
    given.remove("csv,metaspace,imzml,anndata")
    assert main([*given, *to, "--out", str(tmp_path / "out")]) == 0
    export = ["export", str(tmp_path / "out"), "--export", "csv,imzml"]
    assert "expected --key" in refuse(capsys, main, *export)
    key = ["--key", f"{lab}.sec"]
    assert "expected --encrypt-to" in refuse(capsys, main, *export, *key)
    assert main([*export, *key, "--encrypt-to", f"{me}.pub"]) == 0
    files = ("pixel_intensities.csv.gz", "annotated_peaks.imzML", "annotated_peaks.ibd")
    for file in files:
        found = decrypt(tmp_path / "out" / f"{file}.c4gh", f"{me}.sec")
        assert found == (plain[name] / file).read_bytes()
    outputs = json.loads((tmp_path / "out/manifest.json").read_text())["outputs"]
    assert {f"{file}.c4gh" for file in files} <= set(outputs)
    compare = ["compare", str(tmp_path / "out"), str(plain[name])]
    assert "expected --key" in refuse(capsys, main, *compare)
    assert main([*compare, *key, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["runs"]
    assert counts[1]["lost"] == counts[1]["gained"] == 0
    assert find_plaintext([tmp_path]) == []


@PROGRAMS
def test_run__on_a_full_disk_leaves_nothing_of_that_name(
    program, words, to, tmp_path, capsys
):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        code = MAINS[program]([*words[program], *to, "--out", str(tmp_path / "out")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    path = Path(said.split("disk full: ")[1].split(";")[0])
    assert path.suffix == ".c4gh"
    assert not list(tmp_path.rglob(f"{path.name}*"))
    assert find_plaintext([tmp_path]) == []


def test_python__leaves_encrypted_results_to_the_command(words, keys, tmp_path):
    options = {"out": tmp_path / "out", "encrypt_to": f"{keys[0]}.pub"}
    with pytest.raises(BadInput, match="encrypt_to: it is for the command alone"):
        mdr_epistasis.run("x.bed", **options)
    with pytest.raises(BadInput, match="encrypt_to: it is for the command alone"):
        metabolite_annotation.annotate("x.imzML", "x.tsv", **options)
    assert not os.listdir(tmp_path)
