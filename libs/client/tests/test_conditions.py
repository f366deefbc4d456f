"""Questions as they are written on the command line."""

from typing import Any

import pytest

from dxmesh_client.cli.api import _condition
from dxmesh_client.errors import ClientError


@pytest.mark.parametrize(
    ("text", "item", "op", "value"),
    [
        ("code=330602001", "code", "eq", "330602001"),
        ("people>=:100", "people", "ge", 100),
        ("people>:1.5", "people", "gt", 1.5),
        ("name!=a=b", "name", "ne", "a=b"),
        ("since<2001-01-01", "since", "lt", "2001-01-01"),
        ("since<=2001-01-01", "since", "le", "2001-01-01"),
        ("active=:true", "active", "eq", True),
        ("name=", "name", "eq", ""),
    ],
)
def test_a_condition_is_read(text: str, item: str, op: str, value: Any) -> None:
    assert _condition(text) == {"item": item, "op": op, "value": value}


@pytest.mark.parametrize("text", ["", "code", "=1", "people=:many", ">=2"])
def test_what_is_no_condition_is_told(text: str) -> None:
    with pytest.raises(ClientError, match=r"write item|behind the colon"):
        _condition(text)
