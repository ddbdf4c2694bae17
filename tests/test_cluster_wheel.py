"""Ordinary users on a Slurm cluster, with what `pip install .` gives and no more."""

import pwd
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from conftest import CLUSTER
from held_runs import hold
from programs import PATIENCE_S, assert_same
from slurm_jobs import act_on_each, ask, wait, wait_for_end
from wheel import ROOT

DATA = ROOT / "tests/data"
COHORT = DATA / "bitepi_plink_100snps_2000/bfile"
TISSUE = DATA / "imzml/Untreated_3_434_tiny"
MOLECULES = DATA / "databases/lipidmaps_2017-12-12-v2.tsv.gz"

pytestmark = pytest.mark.usefixtures("cluster")


@dataclass(frozen=True)
class User:
    """An ordinary user, in whose PATH the wheel is."""

    name: str
    home: Path
    path: str

    def run(self, command, folder=".", **variables):
        """Run lines of bash on the login node; return what they print."""
        own = {"HOME": str(self.home), "PATH": self.path, "LANG": "C.UTF-8"}
        become = ["setpriv", f"--reuid={self.name}", f"--regid={self.name}"]
        login = [CLUSTER / "slurm-login", *become, "--init-groups", "bash", "-ec"]
        done = subprocess.run(
            [*login, command],
            cwd=self.home / folder,
            env=own | {"USER": self.name, "LOGNAME": self.name} | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def make_folder(self, name):
        """Make a folder with a cohort, tissues and molecules; return it."""
        folder = self.home / name
        shutil.copytree(ROOT / "slurm", folder / "slurm")
        for ending in ("bed", "bim", "fam"):
            shutil.copy(f"{COHORT}.{ending}", folder / f"cohort.{ending}")
        for ending in ("imzML", "ibd"):
            for tissue in ("tissue", "other"):
                shutil.copy(f"{TISSUE}.{ending}", folder / f"{tissue}.{ending}")
        packed = subprocess.run(["zcat", MOLECULES], capture_output=True, check=True)
        (folder / "hmdb.tsv").write_bytes(packed.stdout)
        (folder / "tissues.txt").write_text("tissue.imzML\nother.imzML\n")
        subprocess.run(["chown", "-R", f"{self.name}:", folder], check=True)
        return folder


@pytest.fixture(scope="module")
def users(environment):
    """Return two ordinary users, who may submit jobs."""
    names = ("hpc-ada", "hpc-bob")
    remove(names)
    path = f"{environment}/bin:/usr/local/bin:/usr/bin:/bin"
    try:
        for name in names:
            subprocess.run(["useradd", "--create-home", name], check=True)
        ask("sacctmgr", "-i", "add", "user", ",".join(names), "account=bsc00")
        homes = [Path(pwd.getpwnam(name).pw_dir) for name in names]
        yield [User(*user, path) for user in zip(names, homes, strict=True)]
    finally:
        remove(names)


def remove(names):
    """Remove users, with their jobs and all that they have."""
    for name in names:
        subprocess.run(["scancel", "--user", name], capture_output=True)
        subprocess.run(["userdel", "--force", "--remove", name], capture_output=True)


@pytest.fixture(scope="module")
def alone(users):
    """Return runs of both programs, alone: options, and the folder of the results.

    The kernels that these compile are there for all jobs.
    """
    user = users[0]
    folder = user.make_folder("alone")
    options = "--variants 1500 --individuals 1000 --heritability 0.1 --maf 0.3 --seed 1"
    user.run(f"mdr-epistasis simulate --out slow {options}", folder)
    runs = {
        "mdr-epistasis": f"run {folder}/slow.bed --permutations 1000 --top 20",
        "metabolite-annotation": f"run {folder}/tissue.imzML --instrument FTICR "
        f"--database {folder}/hmdb.tsv --adducts +H,+Na,+K --pattern-cache kept",
    }
    kernels = {"NUMBA_CACHE_DIR": str(user.home / ".cache/hpc_connector/numba")}
    commands = [f"{program} {run} --out {program}" for program, run in runs.items()]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda command: user.run(command, folder, **kernels), commands))
    for other in users[1:]:
        shutil.copytree(user.home / ".cache", other.home / ".cache")
        subprocess.run(["chown", "-R", f"{other.name}:", other.home], check=True)
    return {program: (run, folder / program) for program, run in runs.items()}


@pytest.fixture(scope="module")
def warned(users, alone, environment):
    """Return the jobs of both programs, which were warned after they had begun."""
    user, jobs = users[0], {}
    for program, (run, _) in alone.items():
        folder = user.make_folder(f"job-{program}")
        held = hold(folder, program.replace("-", "_"), environment / "bin/python")
        site = " ".join(map(str, held))
        command = f"hpc-connector submit {site} {program} {run} --out out"
        jobs[program] = user.run(command, folder), folder
    act_on_each(
        {
            folder: partial(user.run, f"scancel --signal=USR1 {job}")
            for job, folder in jobs.values()
        },
        lambda folder: wait((folder / "out/manifest.json").exists, folder),
    )
    return jobs


@pytest.mark.parametrize("program", ["mdr-epistasis", "metabolite-annotation"])
def test_job__of_a_user_is_warned_and_goes_on(warned, alone, program):
    job, folder = warned[program]
    state, said = wait_for_end(job, folder)
    assert state == "COMPLETED", said
    assert "stopped on request" in said
    assert_same(folder / "out", alone[program][1])
    assert "Restarts=1" in ask("scontrol", "show", "job", job)


def list_commands():
    """Return the commands of the page on Slurm, "On a cluster", as they stand there."""
    page = (ROOT / "docs/howto/slurm.md").read_text()
    section = page.partition("\n## On a cluster\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```", section, re.M | re.S)
    return "".join(blocks).replace("\\\n", " ").splitlines()


# No modules, and nodes of four cores
SMALL = (
    "printf 'export %s\\n' CONNECTOR_SETUP= CONNECTOR_NODE_CORES=4 "
    "CONNECTOR_NODE_MEM_GB=4 >> my.env"
)


@pytest.fixture(scope="module")
def followed(users, alone):
    """Return the commands of the page that a user ran, what they printed, where.

    Each is run where the first two were, for several write to the same folder.
    """
    copy, source, *commands = list_commands()
    assert copy.startswith("cp slurm/mn5.env my.env")
    assert source == "source my.env"
    user = users[0]

    def follow(command):
        here = command.replace("--ntasks-per-node 112", "--ntasks-per-node 2")
        here = here.replace("doctor", f"doctor --limit {PATIENCE_S}")
        lines = "\n".join([copy, SMALL, source, here])
        folder = user.make_folder(f"page-{commands.index(command)}")
        return command, user.run(lines, folder), folder

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(follow, commands))


def test_page__of_clusters_is_true(followed):
    ran = [command.split()[:2] for command, _, _ in followed]
    assert ["hpc-connector", "doctor"] in ran
    for command, said, folder in followed:
        if "--dry-run" in command:
            assert "\n#SBATCH --nodes=4\n" in said
        elif command.startswith(("sbatch", "hpc-connector submit")):
            job = said.split()[-1]
            names = ["tissue", "other"] if "--array" in command else [""]
            for index, name in enumerate(names):
                element = f"{job}_{index}" if name else job
                state, printed = wait_for_end(element, folder)
                assert state == "COMPLETED", printed
                (out,) = re.findall("--out ([a-z]+)", command)
                assert (folder / out / name / "results.h5").exists()


def test_job__of_two_users_without_tmpdir(users, alone):
    """The virtual nodes set one for each job, unlike Slurm if a site does nothing."""
    jobs = []
    for user in users:
        folder = user.make_folder("plain")
        (folder / "my.env").write_text("CONNECTOR_SETUP='unset TMPDIR'\n")
        submit = "hpc-connector submit --site my.env --slurm-partition standby"
        run = "mdr-epistasis run cohort.bed --permutations 5 --out out"
        jobs.append((user.run(f"{submit} {run}", folder), folder))
    for job, folder in jobs:
        state, said = wait_for_end(job, folder)
        assert state == "COMPLETED", said
        assert "BatchHost=node1" in ask("scontrol", "show", "job", job)
    assert_same(jobs[0][1] / "out", jobs[1][1] / "out")
    for user in users:
        found = ("find", "/tmp", "-ignore_readdir_race", "-maxdepth", "1")
        assert not ask(*found, "-user", user.name)
