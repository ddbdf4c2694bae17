"""Sections of files as dataclasses."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from hpc_connector.errors import BadInput
from hpc_connector.fields import SHELL, TOML, YAML, fill, number, read_fields, whole


@dataclass(frozen=True)
class Oven:
    """A dataclass whose last field no file may set."""

    shelves: int = 1
    heat: float = 0.0
    door: object = field(default=None)


READERS: dict[Any, Any] = {int: whole, float: number}


def test_fill__keeps_defaults_and_the_types_of_fields():
    oven = fill(Oven, {"heat": 180, "shelves": 2.0}, "oven.toml", READERS)
    assert oven == Oven(2, 180.0)
    assert (type(oven.shelves), type(oven.heat)) == (int, float)


@pytest.mark.parametrize(
    ("wording", "given", "said"),
    [
        (TOML, {"door": 1}, "unknown key door; expected one of shelves, heat"),
        (YAML, {"lamp": 1}, "unknown key 'lamp': expected one of shelves, heat"),
        (YAML, {3: 1}, "unknown key '3': expected one of shelves, heat"),
        (SHELL, {"lamp": "1"}, "lamp: expected one of shelves, heat"),
        (TOML, {"shelves": 1.5}, "shelves = 1.5: expected a whole number"),
        (YAML, {"heat": True}, "heat: True: expected a number"),
        (SHELL, {"heat": "hot"}, "heat=hot: expected a number"),
        (TOML, {"heat": float("nan")}, "heat = nan: expected a number"),
        (TOML, {"heat": -1}, "heat = -1: expected a number"),
    ],
)
def test_read_fields__says_what_is_wrong(wording, given, said):
    with pytest.raises(BadInput) as raised:
        read_fields(Oven, given, "oven", READERS, wording)
    assert str(raised.value) == f"oven: {said}"


def test_read_fields__a_name_wins_over_a_type_and_may_be_one_more():
    readers = READERS | {"heat": str, "name": str}
    found = read_fields(Oven, {"heat": 1, "name": "x"}, "oven", readers)
    assert found == {"heat": "1", "name": "x"}


def test_read_fields__names_a_section_before_its_keys():
    with pytest.raises(BadInput, match=r"^f: unknown key oven\.lamp"):
        read_fields(Oven, {"lamp": 1}, "f", READERS, above="oven.")
