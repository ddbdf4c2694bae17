"""What happens inside a job, with stand-ins for Slurm and the programs."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from hpc_connector.cluster.batch import Job, render_sbatch
from hpc_connector.cluster.site import Site
from programs import PATIENCE_S, wait_for

PLAIN = Site(launch="srun")
STAND_INS = {
    "srun": 'while case "$1" in --*) ;; *) false ;; esac; do shift; done\n"$@"',
    "scontrol": 'echo "$@" >>queued; exit 1',  # so that the script does not wait
    "sacct": "exit 1",
    "sleep": "exit 0",
    "squeue": "echo 123",
    "hpc-connector": "exit 0",
    "mdr-epistasis": "exit 0",
}
KERNEL = """
mkdir -p "$NUMBA_CACHE_DIR/kernels_1"
ls "$NUMBA_CACHE_DIR"/*/*.nbc 2>/dev/null | xargs -rn1 basename
echo compiled >"$NUMBA_CACHE_DIR/kernels_1/add-1.py311.{name}.nbc"
"""


@pytest.fixture
def job(tmp_path):
    """Return what starts a job in a folder of its own, where its stand-ins are too."""
    folder = tmp_path / "work"
    for place in (folder, tmp_path / "bin", tmp_path / "home", tmp_path / "scratch"):
        place.mkdir()

    def start(site=PLAIN, cwd=folder, drop=(), stand_ins=None, **environment):
        for name, text in (STAND_INS | (stand_ins or {})).items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        for name in drop:
            (tmp_path / "bin" / name).unlink()
        script = tmp_path / "script"
        script.write_text(render_sbatch(Job("mdr-epistasis", (("run",),)), site))
        slurm = {"SLURM_JOB_ID": "123", "SLURM_NNODES": "1", "SLURMD_NODENAME": "n1"}
        folders = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "scratch")}
        path = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "PWD": str(cwd)}
        given = slurm | folders | path | environment
        return subprocess.Popen(
            ["bash", script],
            cwd=cwd,
            env={name: text for name, text in given.items() if text is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finish(process):
    """Return how a job ends: its code, what it prints, and what it says."""
    said, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said.strip(), errors.strip()


def get_queued(tmp_path):
    """Return what scontrol was asked for."""
    path = tmp_path / "work/queued"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def program(text, **others):
    """Return the stand-ins of a job whose program is a shell script."""
    return {"mdr-epistasis": text} | others


SHOW = 'd=${NUMBA_CACHE_DIR%/numba}; echo "$d"; stat -c "%a %u" "$d" "$NUMBA_CACHE_DIR"'


def test_job__has_a_private_folder_that_goes(job, tmp_path):
    code, said, errors = finish(job(stand_ins=program(SHOW)))
    assert (code, errors) == (0, "")
    place, *modes = said.splitlines()
    name = rf"{tmp_path}/scratch/hpc_connector\.123\.\w{{12}}"
    assert re.fullmatch(name, place)
    assert modes == [f"700 {os.getuid()}"] * 2
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("tmpdir", [None, "/proc/none", "/a,b", "/a:b", "."])
def test_job__without_a_tmpdir_to_write_to(job, tmpdir):
    code, said, errors = finish(job(stand_ins=program(SHOW), TMPDIR=tmpdir))
    assert (code, errors) == (0, "")
    place = said.split()[0]
    assert re.fullmatch(r"/tmp/hpc_connector\.123\.\w{12}", place)
    assert not Path(place).exists()


def test_job__whose_nodes_share_the_folder(job):
    """The second node finds what the first has made, and takes it."""
    twice = 'while case "$1" in --*) ;; *) false ;; esac; do shift; done\n"$@"; "$@"'
    done = job(stand_ins=program("exit 0", srun=twice), SLURM_NNODES="2")
    assert finish(done) == (0, "", "")


def test_job__whose_folder_another_user_has_made(job, tmp_path):
    """Or a link: its name was not unguessable."""
    mktemp = f"echo {tmp_path}/scratch/guessed"
    (tmp_path / "scratch/guessed").symlink_to(tmp_path / "home")
    code, _, errors = finish(job(stand_ins={"mktemp": mktemp}))
    assert code == 2
    assert "cannot make" in errors
    (tmp_path / "scratch/guessed").unlink(missing_ok=True)
    (tmp_path / "scratch/guessed").mkdir()
    if os.getuid() == 0:
        os.chown(tmp_path / "scratch/guessed", 1, 1)
        assert finish(job(stand_ins={"mktemp": mktemp}))[0] == 2


def list_kept(tmp_path):
    """Return the names of the kernels that are kept."""
    kept = tmp_path / "home/.cache/hpc_connector/numba"
    return sorted(path.name.split(".")[2] for path in kept.rglob("*.nbc"))


def compile_one(job, name, **options):
    """Run a job that compiles a kernel; return those that it was given."""
    code, said, errors = finish(
        job(stand_ins=program(KERNEL.format(name=name)), **options)
    )
    assert (code, errors) == (0, "")
    return sorted(line.split(".")[2] for line in said.split())


def test_job__passes_kernels_on(job, tmp_path):
    assert compile_one(job, "a") == []
    assert compile_one(job, "b") == ["a"]
    assert compile_one(job, "a") == ["a", "b"]
    kept = tmp_path / "home/.cache/hpc_connector/numba"
    assert {path.stat().st_mode & 0o77 for path in (kept, *kept.rglob("*"))} == {0}
    assert len(list(kept.rglob("*"))) == 3


def test_job__takes_over_the_kernels_of_an_older_version(job, tmp_path):
    kept = tmp_path / "home/.cache/hpc_connector/numba"
    kept.mkdir(parents=True, mode=0o755)
    (kept / "kernels_1").mkdir()
    (kept / "kernels_1/add-1.py311.old.nbc").touch()
    os.utime(kept / "kernels_1/add-1.py311.old.nbc", (0, 0))
    assert compile_one(job, "a") == ["old"]
    assert list_kept(tmp_path) == ["a"]  # after two months


@pytest.mark.parametrize(
    ("at", "mode"),
    [
        (".", "g+w"),
        (".", "owner"),
        ("kernels_1", "o+w"),
        ("kernels_1/add-1.py311.evil.nbc", "g+w"),
        ("kernels_1/add-1.py311.evil.nbc", "owner"),
    ],
)
def test_job__loads_no_kernel_that_another_user_may_have_written(
    job, tmp_path, at, mode
):
    kept = tmp_path / "home/.cache/hpc_connector/numba"
    (kept / "kernels_1").mkdir(parents=True)
    (kept / "kernels_1/add-1.py311.evil.nbc").touch()
    if mode == "owner":
        if os.getuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(kept / at, 1, 1)
    else:
        subprocess.run(["chmod", mode, kept / at], check=True)
    assert compile_one(job, "a") == []
    assert list_kept(tmp_path) == ["a"]
    assert compile_one(job, "b") == ["a"]


@pytest.mark.parametrize("home", [None, "/proc", "/dev/null"])
def test_job__without_a_home(job, home):
    """Without a name, it would be the cache of a user who may write to the root."""
    folders = {"HOME": home} if home else {"HOME": home, "XDG_CACHE_HOME": "/proc/x"}
    compiling = program(KERNEL.format(name="a"))
    code, _, errors = finish(job(stand_ins=compiling, **folders))
    assert code == 0
    assert re.fullmatch(r"mdr-epistasis: compiled kernels are not kept in .*", errors)


RACE = """
set -euo pipefail
scratch={scratch}/job.$1 kept={kept} NUMBA_CACHE_DIR={scratch}/job.$1/numba
{functions}
"""
PUBLISH = """
for ((n = 0; 1; n = (n + 1) % 60)); do
    mkdir -p "$NUMBA_CACHE_DIR/kernels_$((n % 3))"
    touch -d '1 hour ago' "$scratch/staged"
    file=kernels_$((n % 3))/$1-$n.nbc
    head -c 4000 /dev/zero | tr '\\0' x >"$NUMBA_CACHE_DIR/$file"
    rm -f "$kept/$file"
    (keep_kernels) 2>/dev/null || exit
    rm -r "$NUMBA_CACHE_DIR"
    [ ! -e "$scratch.over" ] || exit 0
done
"""
STAGE = """
for ((n = 0; n < {rounds}; n++)); do
    prepare_node true "$scratch" "$kept" '' || exit
    find "$NUMBA_CACHE_DIR" -name 'first-*.nbc' -size 4000c | wc -l
    find "$NUMBA_CACHE_DIR" -name '*.nbc' ! -size 4000c | wc -l
    rm -r "$scratch"
done
"""


def test_job__finds_all_kernels_while_others_keep_theirs(tmp_path):
    """Each staging has those that were there before, and none in part."""
    script = render_sbatch(Job("true"), Site())
    names = ("is_private", "prepare_node", "keep_kernels")
    functions = [re.search(rf"^{n}\(\).*?^\}}", script, re.M | re.S)[0] for n in names]
    place = {"kept": tmp_path / "kept", "scratch": tmp_path / "scratch"}
    text = RACE.format(functions="\n".join(functions), **place)
    (tmp_path / "kept").mkdir(mode=0o700)
    for n in range(20):
        (tmp_path / f"kept/first-{n}.nbc").write_bytes(b"x" * 4000)
    rounds = int(os.environ.get("STAGINGS", "100"))
    writers = [
        subprocess.Popen(
            ["bash", "-c", text + PUBLISH, "-", name], stderr=-2, stdout=-1
        )
        for name in ("one", "two")
    ]
    stage = text + STAGE.format(rounds=rounds)
    done = subprocess.run(
        ["bash", "-c", stage, "-", "reader"], capture_output=True, text=True
    )
    for name in ("one", "two"):
        (tmp_path / f"scratch/job.{name}.over").touch()
    assert [(w.communicate()[0], w.returncode) for w in writers] == [(b"", 0)] * 2
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["20", "0"] * rounds
    assert len(list((tmp_path / "kept").rglob("*.nbc"))) > 20  # they were busy


STOPS = {"138": "USR1", "143": "TERM", "10": "mpirun", "15": "mpirun"}


@pytest.mark.parametrize("code", STOPS)
def test_job__whose_ranks_the_warning_has_killed_is_queued_again(job, tmp_path, code):
    assert finish(job(stand_ins=program(f"exit {code}")))[0] == 75
    assert get_queued(tmp_path) == ["requeue 123"]


SEEN = {  # what squeue says as the script comes to its end
    "RUNNING None": True,  # warned, or its ranks alone are stopped
    "COMPLETING TimeLimit": True,
    "COMPLETING None": False,  # cancelled, or queued again by Slurm
    "COMPLETING JobHeldUser": False,
    "": True,  # nothing is known
}


@pytest.mark.parametrize("seen", SEEN)
def test_job__that_was_cancelled_is_not_queued_again(job, tmp_path, seen):
    squeue = {
        "squeue": f'[ "$*" != "--noheader --jobs 123 --format %T %r" ] || echo "{seen}"'
    }
    assert finish(job(stand_ins=program("exit 75", **squeue)))[0] == 75
    assert get_queued(tmp_path) == (["requeue 123"] if SEEN[seen] else [])


@pytest.mark.parametrize(
    ("states", "queued"),
    [
        (["PREEMPTED"], ["requeue 123"]),  # where PreemptMode is CANCEL
        (["PREEMPTED", "CANCELLED by 1000"], []),
        (["CANCELLED by 1000"], []),
    ],
)
def test_job__that_was_preempted_goes_on(job, tmp_path, states, queued):
    rows = "".join(f"123|{state}|9\\n123.0|PREEMPTED|9\\n" for state in states)
    told = {"squeue": "echo COMPLETING None", "sacct": f'printf "{rows}"'}
    assert finish(job(stand_ins=program("exit 75", **told)))[0] == 75
    assert get_queued(tmp_path) == queued


def test_job__waits_for_an_accounting_that_is_late(job, tmp_path):
    late = "echo >>asked; if [ $(wc -l <asked) -gt 7 ]; then echo '123|COMPLETED|9'; fi"
    keep = 'if [ "$1" = account ]; then cat >kept; fi'
    stand_ins = program("exit 0", sacct=late, **{"hpc-connector": keep})
    assert finish(job(stand_ins=stand_ins))[0] == 0
    assert (tmp_path / "work/kept").read_text() == "123|COMPLETED|9\n"


@pytest.mark.parametrize("code", [1, 2, 11, 137])
def test_job__whose_program_failed_is_not_queued_again(job, tmp_path, code):
    assert finish(job(stand_ins=program(f"exit {code}")))[0] == code
    assert get_queued(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["setup", "staging", "the first step"])
def test_job__that_is_warned_before_its_ranks_start(job, tmp_path, moment, number):
    """Only the shell gets the signal, as of --signal=B:USR1@120."""
    wait = "touch begun; while [ ! -e go ]; do /bin/sleep 0.05; done"
    site = Site(launch="srun", setup=wait) if moment == "setup" else PLAIN
    stand_ins = program("touch ran", **{"hpc-connector": "true"})
    if moment == "staging":
        stand_ins["srun"] = f"{wait}; {STAND_INS['srun']}"
    if moment == "the first step":
        stand_ins["squeue"] = wait
        site = Site(launch="srun", image="/bin/sh")
        stand_ins["apptainer"] = "exit 0"
    process = job(site, stand_ins=stand_ins)
    wait_for((tmp_path / "work/begun").exists)
    process.send_signal(number)
    (tmp_path / "work/go").touch()
    assert finish(process)[0] == 75
    assert not (tmp_path / "work/ran").exists()
    assert get_queued(tmp_path) == ["requeue 123"]
    assert not list((tmp_path / "scratch").iterdir())


def test_job__whose_staging_the_warning_has_killed(job, tmp_path):
    """Of scancel --signal=USR1: the steps get it, and the shell does not."""
    assert finish(job(stand_ins=program("touch ran", srun="kill -USR1 $$")))[0] == 75
    assert not (tmp_path / "work/ran").exists()
    assert get_queued(tmp_path) == ["requeue 123"]


FAILED = 'echo 1 >"$CONNECTOR_CODE"; exit 1'
ENDS = {"exit 75": 75, "exit 255": 75, "exit 1": 75, FAILED: 1, "exit 0": 0}


@pytest.mark.parametrize(("end", "code"), ENDS.items())
def test_job__that_is_warned_while_its_ranks_run(job, tmp_path, end, code):
    """The ranks are told, and decide: what a launcher makes of it is no failure."""
    ranks = f"trap '{end}' USR1; touch begun; while :; do /bin/sleep 0.05; done"
    process = job(Site(launch=""), stand_ins=program(ranks))
    wait_for((tmp_path / "work/begun").exists)
    process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGUSR1)
    assert finish(process)[0] == code
    assert get_queued(tmp_path) == (["requeue 123"] if code == 75 else [])


DROPPING = """
pass() { touch passed; exit 75; }
drop() { touch taken; trap pass USR1; }
trap drop USR1
touch begun
while :; do /bin/sleep 0.05; done
"""


def test_job__that_is_warned_before_srun_passes_it_on_is_warned_again(job, tmp_path):
    """As srun, which takes a signal while it starts, and has no tasks to give it to."""
    stand_ins = {"launch": DROPPING, "sleep": "while [ ! -e taken ]; do :; done"}
    process = job(Site(launch="launch"), stand_ins=stand_ins)
    wait_for((tmp_path / "work/begun").exists)
    process.send_signal(signal.SIGUSR1)
    assert finish(process) == (75, "", "")
    assert (tmp_path / "work/passed").exists()
    assert get_queued(tmp_path) == ["requeue 123"]


@pytest.mark.parametrize(
    ("site", "drop", "message"),
    [
        (PLAIN, ["mdr-epistasis"], "no mdr-epistasis on n1: activate the environment"),
        (PLAIN, ["hpc-connector"], "no hpc-connector on n1: activate the environment"),
        (Site(launch="srun", setup="false"), [], "CONNECTOR_SETUP failed: false"),
        (Site(launch="srun", setup="exit 3"), [], "CONNECTOR_SETUP failed: exit 3"),
        (Site(launch="mpiexec.x -n 2"), [], "no mpiexec.x on n1: expected what starts"),
        (Site(launch="/no/srun"), [], "no /no/srun on n1"),
        (Site(image="/x.sif"), [], "no apptainer or singularity on n1, which /x.sif"),
    ],
)
def test_job__says_what_a_node_lacks(job, tmp_path, site, drop, message):
    tools = tmp_path / "tools"  # of this machine, but what runs containers
    tools.mkdir()
    for tool in Path("/usr/bin").iterdir():
        if tool.name not in ("apptainer", "singularity"):
            (tools / tool.name).symlink_to(tool)
    path = {"PATH": f"{tmp_path}/bin:{tools}"}
    code, said, errors = finish(job(site, drop=drop, **path))
    assert (code, said) == (2, "")
    assert errors.startswith(f"mdr-epistasis: {message}")
    assert len(errors.splitlines()) == 1
    assert get_queued(tmp_path) == []


def test_job__whose_second_node_lacks_the_runtime(job, tmp_path):
    site = Site(launch="srun", image="/bin/sh")
    without = f"[ ! -e begun ] || rm -f {tmp_path}/bin/apptainer\ntouch begun\n"
    stand_ins = {"apptainer": "exit 0", "srun": f"touch begun\n{without}"}
    stand_ins["srun"] += STAND_INS["srun"]
    code, _, errors = finish(job(site, stand_ins=stand_ins))
    assert code == 2
    assert re.fullmatch(r"mdr-epistasis: no .*/bin/apptainer on \S+", errors)


def test_job__drops_what_an_enclosing_job_asked_for(job):
    """Srun would refuse two kinds of memory, or the cores of another job."""
    given = {f"SLURM_MEM_PER_{what}": "100" for what in ("CPU", "GPU", "NODE")}
    given |= {"SLURM_TRES_PER_TASK": "cpu=7", "SLURM_EXPORT_ENV": "NONE"}
    given |= {"SLURM_CPU_BIND": "quiet,mask_cpu:0x1", "SLURM_CPU_BIND_LIST": "0x1"}
    given |= {"SQUEUE_STATES": "PD", "SACCT_FORMAT": "x", "SLURM_TIME_FORMAT": "%s"}
    shown = 'env | grep -E "SLURM_(MEM|TRES|CPU_BIND|EXPORT|TIME_F)|SQUEUE|SACCT"'
    assert finish(job(stand_ins=program(shown), **given)) == (
        0,
        "SLURM_EXPORT_ENV=ALL",
        "",
    )


@pytest.mark.parametrize(
    ("given", "known"),
    [({"NODE": "100"}, "100"), ({"NODE": "100", "CPU": "5"}, "0"), ({}, "0")],
)
def test_job__tells_growth_of_the_memory_that_it_asked_for(job, given, known):
    given = {f"SLURM_MEM_PER_{what}": text for what, text in given.items()}
    show = 'echo "$SLURM_MEM_PER_NODE" >&2'
    grow = {"hpc-connector": f'[ "$2" != grow ] || {show}'}
    _, _, errors = finish(job(stand_ins=program("exit 137", **grow), **given))
    assert errors == known


@pytest.mark.parametrize(
    ("code", "grow", "queued"),
    [
        (137, "echo MinMemoryNode=300", ["requeuehold 123"]),
        (137, "echo no more >&2; exit 2", []),
        (75, "echo no more >&2; exit 2", ["requeue 123"]),
        (75, "exit 0", ["requeue 123"]),
        (75, "echo TimeLimit=20", ["requeuehold 123"]),
        (2, "echo TimeLimit=20", []),
        (0, "echo TimeLimit=20", []),
    ],
)
def test_job__grows_or_stops(job, tmp_path, code, grow, queued):
    grow = {"hpc-connector": f'[ "$2" != grow ] || {{ {grow}; }}'}
    found, _, errors = finish(job(stand_ins=program(f"exit {code}", **grow)))
    assert found == code
    assert get_queued(tmp_path) == queued
    assert errors == ("no more" if "no more" in grow["hpc-connector"] else "")


def test_job__in_a_linked_folder_starts_the_container_where_it_leads(job, tmp_path):
    (tmp_path / "real/a b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    site = Site(launch="srun", image="/bin/sh", bind="/srv")
    runtime = '[ "$2" = --help ] || printf "%s\\n" "$PWD" "$3" "$CONNECTOR_RUNNING"'
    given = {"stand_ins": {"apptainer": runtime}, "cwd": tmp_path / "link/a b"}
    code, said, errors = finish(job(site, **given))
    assert (code, errors) == (0, "")
    place, binds, running = said.splitlines()
    assert place == f"{tmp_path}/real/a b"
    assert binds.split(",")[1:] == ["/srv", place, f"{tmp_path}/link/a b"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d 123", running)


def test_job__in_the_linked_folder_of_the_site_binds_it_once(job, tmp_path):
    site = Site(launch="srun", image="/bin/sh", bind=f"{tmp_path}/work")
    runtime = 'case "$2" in --help) ;; *) echo "$3" ;; esac'
    code, said, _ = finish(job(site, stand_ins={"apptainer": runtime}))
    assert code == 0
    assert said.split(",")[1:] == [f"{tmp_path}/work"]
