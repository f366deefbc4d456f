"""Logs tell a failure with its traceback, and never what the variables held; spans are recorded where there is a receiver."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

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


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:9"])
def test_spans_are_recorded_only_for_a_receiver_and_have_ids_in_any_case(
    endpoint: str | None, as_before: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[TracerProvider] = []
    monkeypatch.setattr(trace, "set_tracer_provider", made.append)  # the process takes one, once
    telemetry.set_up(TelemetrySettings(otlp_endpoint=endpoint), "test")
    [provider] = made
    span = provider.get_tracer("test").start_span("push")
    assert span.get_span_context().is_valid
    assert span.is_recording() == (endpoint is not None)
    not_sampled = trace.set_span_in_context(NonRecordingSpan(SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(0))))
    assert not provider.get_tracer("test").start_span("push", context=not_sampled).is_recording(), "the caller decided otherwise"
    provider.shutdown()
