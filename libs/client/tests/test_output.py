"""How the command line speaks to people."""

import json
from decimal import Decimal

import pytest

from dxmesh_client.cli import output
from dxmesh_client.errors import ProblemAnswer


def test_each_fault_of_a_problem_is_told_with_its_field_and_none_twice() -> None:
    errors = [{"pointer": "/rows/2/name", "detail": "is empty; write it"}, {"pointer": "/rows/2/due_on", "detail": "is no day; write one"}]
    told = str(ProblemAnswer({"status": 422, "title": "Refused", "detail": "row 2: is empty; write it", "errors": errors}))
    assert told.endswith("row 2: is empty; write it; /rows/2/due_on: is no day; write one")


def test_several_values_stand_in_a_table_as_people_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_all([{"items": ["code", "name"], "reason": None}], ["items", "reason"])
    told = capsys.readouterr().out
    assert "code, name" in told
    assert "None" not in told


def test_a_line_keeps_every_digit_of_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    text = '{"amount": 12345678901234567.80, "rate": 800.50, "count": 3}'
    output.lines([json.loads(text, parse_float=Decimal)])
    assert capsys.readouterr().out == text + "\n"
