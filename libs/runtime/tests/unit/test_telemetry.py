"""Logs: a failure is told with its traceback, and never with what the variables held."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from dxmesh_runtime import telemetry
from dxmesh_runtime.settings import TelemetrySettings


@pytest.fixture
def as_before() -> Iterator[None]:
    """Put the logs of the test run back."""
    root = logging.getLogger()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_variables(log_format: Literal["json", "console"], as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    telemetry.set_up_logs(TelemetrySettings(log_format=log_format))

    def fail(secret: str) -> None:
        raise ZeroDivisionError(f"{len(secret)} letters")

    try:
        fail("open-" + "sesame")
    except ZeroDivisionError as error:
        structlog.get_logger("test").error("test.failed", exc_info=error)
    written = said.getvalue()
    assert "ZeroDivisionError" in written
    assert "11 letters" in written
    assert "in fail" in written or '"name": "fail"' in written
    assert "open-sesame" not in written


def test_a_line_of_json_holds_the_facts_as_fields(as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    telemetry.set_up_logs(TelemetrySettings())
    structlog.get_logger("test").warning("test.happened", number=3, name="市民政局")
    line = json.loads(said.getvalue())
    assert (line["event"], line["number"], line["name"], line["level"], line["logger"]) == (
        "test.happened",
        3,
        "市民政局",
        "warning",
        "test",
    )
