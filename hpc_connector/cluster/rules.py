"""What the account and the QOS give a job, by the accounting of Slurm."""

import os
import pwd
import re
from collections.abc import Iterable, Sequence

from hpc_connector import slurm
from hpc_connector.units import parse_bytes, parse_time

Row = dict[str, str]
Caps = dict[str, tuple[float, str]]  # a field of Limits: at most, and who says so

TRES = ("MaxTRES", "MaxTRESPerNode", "MaxTRESPU", "MaxTRESPA", "GrpTRES")
OF_QOS = ("Name", "Flags", "MaxWall", *TRES)
OF_ACCOUNT = [
    *("DefaultAccount", "Account", "Partition", "DefaultQOS"),
    *("MaxWall", "MaxTRES", "MaxTRESPerNode", "GrpTRES"),
]
OF_A_NODE = {"cpu": "cores", "mem": "mem_bytes"}
OF_A_JOB = {"cpu": "most_cores", "mem": "most_mem_bytes", "node": "most_nodes"}


def ask_account(account: str, slurm_partition: str = "") -> Row:
    """Return the association of this user with an account, the default one if none.

    Parameters
    ----------
    slurm_partition
        An association with this one comes before that with all.
    """
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return {}
    cluster = re.search(r"^ClusterName += (\S+)", slurm.ask_config(), re.M)
    here = (f"cluster={cluster[1]}",) if cluster else ()
    rows = _ask_table("user", user, OF_ACCOUNT, "withassoc", *here)
    mine = [
        row
        for row in rows
        if row["Account"] == (account.lower() or row["DefaultAccount"])
        and row["Partition"] in ("", slurm_partition)
    ]
    return max(mine, key=lambda row: row["Partition"], default={})


def ask_qos(names: Iterable[str]) -> dict[str, Row]:
    """Return the rows of some QOS, by their names; none of one that is not known.

    To Slurm names of QOS, as those of accounts, are the same in capitals.
    """
    names = {name.lower() for name in names} - {"", "n/a"}
    wanted = ",".join(sorted(names))
    rows = _ask_table("qos", wanted, OF_QOS) if wanted else []
    return {row["Name"]: row for row in rows}


def _ask_table(what: str, names: str, columns: Sequence[str], *more: str) -> list[Row]:
    command = ["sacctmgr", "--noheader", "--parsable2", "show", what, names, *more]
    lines = slurm.ask(*command, f"format={','.join(columns)}").splitlines()
    rows = [line.split("|") for line in lines]
    return [
        dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)
    ]


def get_rules(account: Row, qos: Row, of_partition: Row) -> Caps:
    """Return the limits of an association and of the QOS of a job and its partition.

    Of a rule that several have, Slurm takes that of the partition's QOS, then that of
    the job's (the other way round, if its flags say so), then the association's.
    """
    ruled = [_read(qos, f"QOS {qos.get('Name')}")]
    ruled.append(_read(of_partition, f"QOS {of_partition.get('Name')} (partition)"))
    if "OverPartQOS" in qos.get("Flags", ""):
        ruled.reverse()
    rules = _read(account, f"account {account.get('Account')}")
    for more in ruled:
        rules |= more
    caps: Caps = {}
    for name, (text, who) in rules.items():
        field, value = _convert(name, text)
        if field and (field not in caps or value < caps[field][0]):
            caps[field] = value, who
    return caps


def _read(row: Row, who: str) -> dict[str, tuple[str, str]]:
    """Return the rules of a row, such as "MaxTRES cpu", as text, and who says so."""
    rules = {"MaxWall": row.get("MaxWall", "")}
    for column in TRES:
        pairs = re.findall(r"([\w/]+)=([^,]+)", row.get(column, ""))
        rules |= {f"{column} {name}": text for name, text in pairs}
    return {name: (text, who) for name, text in rules.items() if text[:1].isdigit()}


def _convert(rule: str, text: str) -> tuple[str, float]:
    """Return the field of Limits that a rule means, empty if none, and its value."""
    if rule == "MaxWall":
        return "most_s", parse_time(text)
    column, name = rule.split(" ")
    fields = OF_A_NODE if column == "MaxTRESPerNode" else OF_A_JOB
    if name == "mem":
        return fields[name], parse_bytes(f"{text}M" if text.isdigit() else text)
    return fields.get(name, ""), int(text) if text.isdigit() else 0
