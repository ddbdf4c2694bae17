"""The images, built and run for real: alone, by mpirun and by srun."""

import configparser
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import CLUSTER, give_up, leave_alone, require
from hpc_connector.manifest import read_manifest
from programs import PATIENCE_S, assert_same
from slurm_jobs import read_account

ROOT = Path(__file__).parents[1]
SINGULARITY = ROOT / "singularity"
DATA = ROOT / "tests/data"
BUILD = ROOT / "build/container"  # kept between runs
MOST_BYTES = 700_000_000

COHORT = "hipster_1000genomes_vcf/Hipster"
SPHEROID = "imzml/Untreated_3_434_tiny.imzML"
LIPIDS = "databases/lipidmaps_2017-12-12-v2.tsv.gz"
RUNS = {
    "mdr-epistasis": f"run {{data}}/{COHORT}.vcf.bgz --labels {{data}}/{COHORT}.tsv "
    "--permutations 3",
    "metabolite-annotation": f"run {{data}}/{SPHEROID} --database {{data}}/{LIPIDS} "
    "--fdr 1 --instrument FTICR --resolving-power 280000@200",
}
SITE = f"""
CONNECTOR_IMAGE=scone.sif
SCONE_NAME=lab/run-1
SCONE_MRENCLAVE={"a1" * 32}
SCONE_CAS_ADDR=cas.example.org
SCONE_HEAP=6G
SCONE_ARGUMENTS="run /data/cohort.bed --out /out"
"""
# Kernels that are known already are copied to each node, which spares a minute
JOB = """#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --output={folder}/log
set -euo pipefail
srun --ntasks=2 --ntasks-per-node=1 bash -c 'cp -r {scratch}/. "$TMPDIR"'
"""
# Ordinary users are in a user namespace where nothing is setuid: root is one here
RUN = ["apptainer", "run", "--userns"]


@pytest.fixture(scope="session")
def apptainer():
    """Put Apptainer there, and a folder to build images from."""
    if os.geteuid() != 0:
        give_up("installing Apptainer needs root")
    leave_alone("apptainer")
    install = [CLUSTER / "apptainer-install", "--base", BUILD / "base"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode != 0:
        give_up(f"no Apptainer: {done.stderr.strip()}")


@pytest.fixture(scope="session")
def image(apptainer):
    # quick to compress, so that it is larger than what a user builds
    return build("hpc_connector.def", "--mksquashfs-args", "-Xcompression-level 1")


@pytest.fixture(scope="session")
def enclave(apptainer, tmp_path_factory):
    """Return an image for enclaves that has a policy, which does not name a CAS."""
    folder = tmp_path_factory.mktemp("policy")
    site, policy = folder / "my.env", folder / "policy.yml"
    site.write_text(SITE)
    words = ["--program", "mdr-epistasis", "--launcher", "hydra", "--out", policy]
    render = ["hpc-connector", "scone", "render", "--site", site, *words]
    subprocess.run(render, check=True, capture_output=True)
    policy.write_text(policy.read_text().replace("# SCONE_CAS_ADDR", "# "))
    given = ["SCONE_MODE=sim", f"POLICY={policy}"]
    options = [word for one in given for word in ("--build-arg", one)]
    return build("hpc_connector_scone.def", "--sandbox", *options)


def build(name, *options):
    """Return an image, built unless there is one of the same sources."""
    definition = SINGULARITY / name
    image = BUILD / f"{definition.stem}-{get_digest()}"
    if not image.exists():
        for old in BUILD.glob(f"{definition.stem}-*"):
            subprocess.run(["rm", "-r", old], check=True)
        partial = image.with_suffix(".partial")
        base = ["BOOTSTRAP=localimage", f"FROM={BUILD}/base/"]
        given = ["--fakeroot", *(x for arg in base for x in ("--build-arg", arg))]
        command = [SINGULARITY / "build.sh", definition, partial, *given, *options]
        subprocess.run(command, check=True)
        partial.rename(image)
    return image


def get_digest():
    """Return a digest of all that goes into an image."""
    folders = [ROOT / name for name in ("singularity", "hpc_connector", "apps")]
    files = [ROOT / "setup.cfg", ROOT / "pyproject.toml"]
    files += [p for folder in folders for p in folder.rglob("*") if p.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files):
        if "__pycache__" not in path.parts and path.suffix != ".md":
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def references(tmp_path_factory):
    """Return the folder of the results of each program, run without a container."""
    folder = tmp_path_factory.mktemp("references")
    own = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    for program in RUNS:
        command = make_run(program, DATA, folder / program)
        subprocess.run(command, check=True, env=own)
    return folder


def make_run(program, data, out):
    return [program, *RUNS[program].format(data=data).split(), "--out", str(out)]


def make_binds(out, scratch):
    binds = [f"{DATA}:/data:ro", f"{out}:/out", f"{scratch}:/tmp"]
    return [word for bind in binds for word in ("-B", bind)]


def make_scratch(image):
    """Return a folder that stands for the /tmp of an image, and is kept with it."""
    folder = Path(f"{image}.scratch")
    folder.mkdir(exist_ok=True)
    return folder


def get_output(*command, **environment):
    """Return exit code, stdout and stderr of a command."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=os.environ | environment,
    )
    return done.returncode, done.stdout, done.stderr


def test_build__scripts_are_clean():
    scripts = [*SINGULARITY.glob("*.sh")]
    assert scripts
    subprocess.run([require("shellcheck"), *scripts], check=True)


def test_build__locks_all_that_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    (extras,) = re.findall(
        "EXTRAS=(.*)", (SINGULARITY / "hpc_connector.def").read_text()
    )
    extra = setup["options.extras_require"]
    needed = setup["options"]["install_requires"].split("\n")
    needed += [name for key in extras.split(",") for name in extra[key].split("\n")]
    locked = (SINGULARITY / "requirements.txt").read_text()
    pins = {
        pin.partition("==")[0].lower()
        for pin in locked.splitlines()
        if not pin.startswith("#")
    }
    assert {re.split("[^a-z0-9-]", name)[0] for name in needed if name} <= pins


def test_image__is_small_and_without_leftovers(image):
    assert 100_000_000 < image.stat().st_size < MOST_BYTES
    names = ("numba", "pip", "setuptools", "wheels", "*.whl")
    find = ["find", "/opt", "(", *" -o ".join(f"-name {n}" for n in names).split(), ")"]
    _, found, _ = get_output("apptainer", "exec", image, *find)
    assert {Path(line).name for line in found.splitlines()} == {"numba"}


def test_image__tests_itself(image):
    code, said, errors = get_output("apptainer", "test", image)
    assert code == 0, errors
    assert "50 variants" in said + errors


def test_image__names_its_version(image):
    _, labels, _ = get_output("apptainer", "inspect", image)
    assert re.search(r"image\.version: \d", labels)


@pytest.mark.parametrize("program", RUNS)
def test_image__has_an_app_for_each_program(image, program):
    app = ["apptainer", "run", "--app", program]
    code, said, _ = get_output(*app, image, "--help")
    assert (code, said.split()[:2]) == (0, ["usage:", program])


@pytest.mark.parametrize("asked", [[], ["bash"]])
def test_image__refuses_other_programs(image, asked):
    code, _, errors = get_output("apptainer", "run", image, *asked)
    assert code == 2
    (line,) = errors.splitlines()
    assert "expected mdr-epistasis" in line


def test_image__trusts_no_cache_of_others(image, tmp_path):
    show = ["sh", "-c", "echo $NUMBA_CACHE_DIR $PYTHONPATH"]
    inside = ["apptainer", "exec", "-B", f"{tmp_path}:/tmp", image, *show]
    assert get_output(*inside, PYTHONPATH="/tmp")[1] == "/tmp/hpc_connector-0/numba\n"
    own = tmp_path / "hpc_connector-0"
    assert own.stat().st_mode & 0o777 == 0o700
    os.chown(own, 1, 1)
    assert re.fullmatch(r"/tmp/tmp\.\w+/numba\n", get_output(*inside)[1])


@pytest.mark.parametrize("program", RUNS)
def test_image__same_bytes_alone(image, references, tmp_path, program):
    run = make_run(program, "/data", f"/out/{program}")
    binds = make_binds(tmp_path, make_scratch(image))
    subprocess.run([*RUN, "--containall", *binds, image, *run], check=True)
    assert_same(tmp_path / program, references / program)


@pytest.mark.parametrize("launcher", ["srun --mpi=pmi2", "mpirun -n 4"])
def test_image__same_bytes_on_two_nodes(image, references, cluster, tmp_path, launcher):
    binds = make_binds(tmp_path, "$TMPDIR")
    inside = " ".join(map(str, [launcher, *RUN, "--sharens", *binds, image]))
    runs = [" ".join(make_run(program, "/data", f"/out/{program}")) for program in RUNS]
    lines = [f"{inside} {run}\n" for run in runs]
    start = JOB.format(folder=tmp_path, scratch=make_scratch(image))
    job = tmp_path / "job.sh"
    job.write_text(start + "".join(lines))
    done = subprocess.run(["sbatch", "--wait", job], timeout=PATIENCE_S)
    assert done.returncode == 0, (tmp_path / "log").read_text()
    for program in RUNS:
        resources = read_manifest(tmp_path / program)["resources"]
        assert (resources["ranks"], resources["nodes"]) == (4, 2)
        assert_same(tmp_path / program, references / program)


def test_submit__runs_an_image(image, references, cluster, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    known = make_scratch(image) / "hpc_connector-0/numba"
    shutil.copytree(known, cache / "hpc_connector/numba")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    site = tmp_path / "site.env"
    site.write_text(f"CONNECTOR_IMAGE={image}\nCONNECTOR_BIND={DATA}\n")
    options = ["--site", site, "--nodes", "2", "--ntasks-per-node", "2"]
    run = make_run("mdr-epistasis", DATA, tmp_path / "out")
    submit = ["hpc-connector", "submit", *options, "--dry-run", *run]
    code, script, errors = get_output(*map(str, submit))
    assert code == 0, errors
    wait = ["sbatch", "--wait", f"--output={tmp_path}/log"]
    done = subprocess.run(
        wait, input=script, text=True, timeout=PATIENCE_S, cwd=tmp_path
    )
    assert done.returncode == 0, (tmp_path / "log").read_text()
    assert_same(tmp_path / "out", references / "mdr-epistasis")
    record = read_manifest(tmp_path / "out")
    assert record["resources"]["nodes"] == 2
    assert read_account(tmp_path / "out")[0]["cpu_s"] > 0


def test_enclave__tests_itself(enclave):
    code, said, errors = get_output("apptainer", "test", enclave)
    assert code == 0, errors
    assert "50 variants" in said + errors


def test_enclave__has_the_environment_of_scone(enclave):
    inside = ["apptainer", "exec", enclave, "env"]
    host = {"SCONE_CAS_ADDR": "cas", "SCONE_CONFIG_ID": "a/b", "SCONE_MODE": "auto"}
    found = dict(
        line.split("=", 1)
        for line in get_output(*inside, **host)[1].splitlines()
        if line.startswith("SCONE_")
    )
    expected = {"SCONE_MODE": "sim", "SCONE_HEAP": "6G", "SCONE_FORK": "0"}
    expected |= {"SCONE_CAS_ADDR": "cas", "SCONE_LAS_ADDR": "localhost"}
    assert expected.items() <= found.items()
    assert found["SCONE_CONFIG_ID"] == "lab/run-1/mdr-epistasis"  # of the policy


def test_enclave__checks_its_own_policy(enclave):
    lint = ["hpc-connector", "scone", "lint", "/etc/hpc_connector/policy.yml"]
    assert get_output("apptainer", "exec", enclave, *lint) == (0, "", "")


@pytest.mark.parametrize("mode", ["hw", "HW"])
@pytest.mark.parametrize("way", ["run", "app"])
def test_enclave__refuses_without_sgx(enclave, mode, way):
    inside = ["apptainer", "run", "--env", f"SCONE_MODE={mode}"]
    inside += ["--app", "mdr-epistasis"] if way == "app" else []
    program = ["mdr-epistasis"] if way == "run" else []
    code, _, errors = get_output(*inside, "--contain", enclave, *program, "--help")
    assert code == 2
    (line,) = errors.splitlines()
    assert "SCONE_MODE=hw" in line
    assert "/dev/sgx*" in line


def test_enclave__runs_with_sgx(enclave, tmp_path):
    (tmp_path / "sgx_enclave").touch()
    devices = ["--no-mount", "dev", "-B", f"{tmp_path}:/dev"]
    inside = ["apptainer", "run", "--env", "SCONE_MODE=hw", *devices, enclave]
    code, said, _ = get_output(*inside, "mdr-epistasis", "--help")
    assert (code, said.split()[:2]) == (0, ["usage:", "mdr-epistasis"])


def test_enclave__lets_through_what_mpi_needs(enclave, tmp_path):
    show = tmp_path / "show"
    show.write_text("#!/bin/sh\nenv\n")
    show.chmod(0o755)
    instead = ["-B", f"{show}:/opt/hpc_connector/bin/mdr-epistasis"]
    launchers = ("PMI_RANK", "PMI_FD", "PMIX_RANK", "SLURM_PROCID", "HYDI_CONTROL_FD")
    given = dict.fromkeys((*launchers, "UCX_NET_DEVICES", "OMP_NUM_THREADS"), "1")
    other = dict.fromkeys(("LD_PRELOAD_", "PYTHONSTARTUP", "AWS_SECRET"), "1")
    inside = ["apptainer", "run", *instead, enclave, "mdr-epistasis"]
    code, said, errors = get_output(*inside, **given, **other)
    assert code == 0, errors
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert given.items() <= found.items()
    assert not other.keys() & found.keys()


def test_enclave__same_bytes_on_two_ranks(enclave, references, tmp_path):
    binds = make_binds(tmp_path, make_scratch(enclave))
    launch = ["mpirun", "-n", "2", *RUN, "--sharens", *binds, enclave]
    run = make_run("mdr-epistasis", "/data", "/out/run")
    subprocess.run([*launch, *run], check=True, timeout=PATIENCE_S)
    # which share no memory
    assert read_manifest(tmp_path / "run")["resources"]["nodes"] == 2
    assert_same(tmp_path / "run", references / "mdr-epistasis")
