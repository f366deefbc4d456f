"""Logs, traces and the metrics that are alerted on."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

from dxmesh_runtime.settings import TelemetrySettings
from dxmesh_schemas.event import Meta

tracer = trace.get_tracer("dxmesh")
_propagator = TraceContextTextMapPropagator()

outbox_pending = Gauge("dxmesh_outbox_pending", "Events written and not yet acknowledged by the broker")
outbox_age_seconds = Gauge("dxmesh_outbox_age_seconds", "Age of the oldest event not yet acknowledged")
consumer_lag = Gauge("dxmesh_consumer_lag", "Records behind the end of the partition", ["consumer", "topic", "partition"])
partition_stalled = Gauge("dxmesh_partition_stalled", "1 while a partition is retried", ["consumer", "topic", "partition"])
dead_letters = Counter("dxmesh_dead_letters", "Records parked on a dead-letter topic", ["consumer", "topic"])
events_handled = Counter("dxmesh_events_handled", "Events that took effect", ["consumer", "type"])
handle_seconds = Histogram("dxmesh_handle_seconds", "Time of one group of events", ["consumer"])
http_seconds = Histogram("dxmesh_http_seconds", "Time to answer", ["method", "route", "status"])


_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def _add_trace(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event


def set_up(settings: TelemetrySettings, service: str) -> None:
    """Configure logs of this process and of its libraries, and traces; call it once, first."""
    set_up_logs(settings)
    sampler = ParentBased(ALWAYS_ON) if settings.otlp_endpoint else ALWAYS_OFF  # without a receiver, only the ids are needed
    provider = TracerProvider(resource=Resource.create({"service.name": service}), sampler=sampler)
    if settings.otlp_endpoint:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.otlp_endpoint.rstrip("/") + "/v1/traces")))
    trace.set_tracer_provider(provider)


def set_up_logs(settings: TelemetrySettings) -> None:
    """Configure logs of this process and of its libraries; a traceback shows no variables: they hold payloads and secrets."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
        if settings.log_format == "console"
        else [_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "aiokafka", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("aiokafka.conn").addFilter(_Once("Sending username and password in the clear"))


class _Once(logging.Filter):
    """Lets one message pass once: it would come with each connection, and clients are made anew every few seconds."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message
        self._said = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is shown."""
        if record.msg != self._message:
            return True
        first, self._said = not self._said, True
        return first


def current_traceparent() -> str | None:
    """Return the W3C traceparent of the current span, to be kept with what it caused."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def continued(meta: Meta, *, name: str = "process") -> Iterator[Span]:
    """Continue the trace an event travelled with; a Group handler wraps what it does for each event in this."""
    context = _propagator.extract({"traceparent": meta.traceparent} if meta.traceparent else {})
    with tracer.start_as_current_span(f"{name} {meta.event_type}", context=context, kind=SpanKind.CONSUMER) as span:
        span.set_attribute("messaging.message.id", str(meta.event_id))
        yield span


@contextmanager
def continued_each(metas: Iterable[Meta], *, name: str = "process") -> Iterator[None]:
    """Continue the traces of events that are handled together: each has a span as long as the work."""
    with ExitStack() as spans:
        for meta in metas:
            spans.enter_context(continued(meta, name=name))
        yield
