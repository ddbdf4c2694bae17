"""A policy for a run of a program in enclaves, and the line that starts it.

What differs from site to site is read from its file, NAME=VALUE a line: the image and
the folders it sees as for any job (``CONNECTOR_IMAGE``, ``CONNECTOR_BIND``), and those
of `Enclave`, each with ``SCONE_`` before it.
"""

import re
import shlex
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.cluster.site import Site, make_site, read_lines
from hpc_connector.confidential.scone.launchers import LAUNCHERS, Launcher
from hpc_connector.confidential.scone.lint import lint
from hpc_connector.confidential.scone.model import (
    AccessPolicy,
    Attestation,
    AttestationSecurity,
    Image,
    ImageVolume,
    Import,
    InjectionFile,
    Secret,
    Security,
    Service,
    Session,
    Volume,
    as_plain,
)
from hpc_connector.confidential.scone.source import load_yaml
from hpc_connector.errors import BadInput
from hpc_connector.fields import SHELL, read_fields

PREFIX = "SCONE_"
VERSION = "0.3.10"  # which brought `permission`, and SCONE 5.8
DEVICE = "/dev/sgx_enclave"
READER = "/etc/hpc_connector/reader.sec"  # in memory: CAS gives it to an enclave
# Base64 of the magic, two words "none" and the length of the key: 21 bytes, so that
# that of the 32 bytes of a key can follow
READER_FILE = (
    "-----BEGIN CRYPT4GH PRIVATE KEY-----\n"
    "YzRnaC12MQAEbm9uZQAEbm9uZQAg$$SCONE::reader_key:base64$$\n"
    "-----END CRYPT4GH PRIVATE KEY-----\n"
)
PLAIN = re.compile(r"[A-Za-z/_][A-Za-z0-9/_.-]*( [A-Za-z0-9/_.-]+)*|0o[0-7]+")
WORD = re.compile(r"[A-Za-z0-9/_.:~-]+")  # where commas and blanks divide
STARTED = ("SCONE_CONFIG_ID", "SCONE_CAS_ADDR", "SCONE_LAS_ADDR", "SCONE_HEAP")


@dataclass(frozen=True)
class Enclave:
    """What is said of the enclaves of a site.

    Parameters
    ----------
    name
        Of the policy.
    mrenclave
        Measurement of the interpreter; of several, for more than one heap.
    arguments
        Of the program.
    code, code_key, code_tag
        Folder of the virtual environment, which is a volume; its key and tag, as
        ``scone fspf create-volume`` says them.
    key_session, key_secret
        Session that exports the key of a reader, 32 bytes, and the name it has there.
    tolerate
        Faults of machines that are borne, such as hyperthreading.
    """

    name: str
    mrenclave: str
    cas_addr: str
    arguments: str
    las_addr: str = "localhost"
    heap: str = "4G"
    code: str = "/opt/hpc_connector"
    code_key: str = ""
    code_tag: str = ""
    key_session: str = ""
    key_secret: str = "reader_key"
    tolerate: str = ""


class Rendered(NamedTuple):
    """A policy, and the command that starts the ranks of a job."""

    policy: str
    command: str


def render(path: Path, program: str, launcher: str) -> Rendered:
    """Return the policy of a program at a site, and the command that starts it.

    Raises
    ------
    BadInput
        The site's file lacks something, or what it says makes a faulty policy.
    """
    site, enclave = read_enclave(path)
    chosen = LAUNCHERS[launcher]
    session = make_session(enclave, program, chosen)
    command = make_command(site, enclave, program, chosen)
    started = make_variables(enclave, program)
    head = [
        "Written by hpc-connector scone render; scone upload gives it to CAS",
        *(f"{name}={started[name]}" for name in STARTED),
        f"The ranks of a job are started by {launcher}:",
        f"  {command}",
    ]
    policy = "".join(f"# {line}\n" for line in head) + write_yaml(as_plain(session))
    for line, code, message in lint(policy.encode(), [program]):
        if code.startswith("E"):
            raise BadInput(f"{path} makes a policy with {code}, line {line}: {message}")
    return Rendered(policy, command)


def read_enclave(path: Path) -> tuple[Site, Enclave]:
    """Return what the file of a site says of jobs, and of enclaves.

    Raises
    ------
    BadInput
        It cannot be read, lacks something, or a value is not one word.
    """
    lines = read_lines(path)
    own = {name: text for name, text in lines.items() if name.startswith(PREFIX)}
    site = make_site({k: v for k, v in lines.items() if k not in own}, str(path))
    known = {f"{PREFIX}{one.name.upper()}": one for one in fields(Enclave)}
    readers: dict[Any, Any] = dict.fromkeys(known, str)
    given = read_fields(Enclave, own, str(path), readers, SHELL)
    needed = [name for name, one in known.items() if one.default is MISSING]
    missing = [name for name in needed if not given.get(name)]
    missing += [] if site.image else ["CONNECTOR_IMAGE"]
    if missing:
        raise BadInput(f"{path} lacks {', '.join(missing)}")
    for name in (f"{PREFIX}{one}" for one in ("NAME", "CAS_ADDR", "LAS_ADDR", "HEAP")):
        if not WORD.fullmatch(given.get(name, "-")):
            raise BadInput(f"{path}: {name}={given[name]}: expected one word")
    return site, Enclave(**{known[name].name: text for name, text in given.items()})


def make_session(enclave: Enclave, program: str, launcher: Launcher) -> Session:
    """Return the policy of a program."""
    has_key = bool(enclave.key_session)
    reader = InjectionFile(path=READER, content=READER_FILE, permission="0o400")
    shared = Import(session=enclave.key_session, secret=enclave.key_secret)
    secret = Secret(name="reader_key", kind="binary", import_=shared)
    volume = Volume(
        name="code",
        fspf_key=enclave.code_key or None,
        fspf_tag=enclave.code_tag or None,
    )
    image = Image(
        name="image",
        volumes=(ImageVolume(name="code", path=enclave.code),),
        injection_files=(reader,) if has_key else None,
    )
    tolerate = tuple(enclave.tolerate.replace(",", " ").split())
    return Session(
        name=enclave.name,
        version=VERSION,
        services=(make_service(enclave, program, launcher),),
        images=(image,),
        volumes=(volume,),
        secrets=(secret,) if has_key else None,
        access_policy=AccessPolicy(read=["CREATOR"], update=["CREATOR"]),
        security=Security(
            attestation=AttestationSecurity(mode="hardware", tolerate=tolerate or None),
            singleton_enclaves=True,
        ),
    )


def make_service(enclave: Enclave, program: str, launcher: Launcher) -> Service:
    """Return a program with its arguments, and the environment that it has."""
    module = program.replace("-", "_")
    own = {
        "PATH": f"{enclave.code}/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "LC_ALL": "C.UTF-8",
        # kernels are code: they are compiled into the volume before it is protected
        "NUMBA_CACHE_DIR": f"{enclave.code}/cache",
        # enclaves share no memory, on one node neither
        "MPIR_CVAR_NOLOCAL": "1",
        "UCX_TLS": "tcp,self",
    }
    return Service(
        name=program,
        image_name="image",
        command=(
            f"{enclave.code}/bin/python3",
            "-m",
            module,
            *shlex.split(enclave.arguments),
        ),
        pwd="/",
        attestation=Attestation(
            mrenclave=tuple(enclave.mrenclave.replace(",", " ").split())
        ),
        environment=own | {f"@@{name}": "" for name in launcher.variables},
    )


def make_variables(enclave: Enclave, program: str) -> dict[str, str]:
    """Return the variables that SCONE takes as an enclave starts."""
    return {
        "SCONE_MODE": "hw",
        "SCONE_CONFIG_ID": f"{enclave.name}/{program}",
        "SCONE_CAS_ADDR": enclave.cas_addr,
        "SCONE_LAS_ADDR": enclave.las_addr,
        "SCONE_HEAP": enclave.heap,
        "SCONE_STACK": "4M",
        "SCONE_ALLOW_DLOPEN": "1",
        "SCONE_MPROTECT": "1",
        "SCONE_FORK": "0",
    }


def make_command(site: Site, enclave: Enclave, program: str, launcher: Launcher) -> str:
    """Return what starts the ranks, as a shell takes it; their arguments CAS gives.

    Apptainer binds devices as it does files: it has no option ``--device``.
    """
    binds = ",".join([DEVICE, *filter(None, [site.bind])])
    given = make_variables(enclave, program)
    variables = ",".join(f"{name}={value}" for name, value in given.items())
    words = ["apptainer", "exec", "--sharens", "--bind", binds, "--env", variables]
    words += [site.image, f"{enclave.code}/bin/python3"]
    return f"{' '.join(launcher.command)} {shlex.join(words)}"


def write_yaml(data: Any) -> str:
    """Return maps, lists and text as YAML; text that could be a number is quoted."""
    yaml = load_yaml()
    dumper = type("Dumper", (yaml.SafeDumper,), {})

    def write_text(here: Any, text: str) -> Any:
        style = "|" if "\n" in text else None if PLAIN.fullmatch(text) else '"'
        return here.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    dumper.add_representer(str, write_text)  # type: ignore[attr-defined]
    written: str = yaml.dump(data, Dumper=dumper, sort_keys=False, width=88)
    return written
