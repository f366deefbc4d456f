"""A receiver of traces: OTLP over HTTP on this machine, which keeps every span it is sent."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


@dataclass(frozen=True)
class Span:
    """A span as a service sent it; ids are hexadecimal text, `parent_id` is empty where a trace begins."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str


class Receiver:
    """Listens on a free port of 127.0.0.1 from its making to `close`."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name http.server calls
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver._keep(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name http.server calls
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, name="otlp", daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Return what a service's TELEMETRY__OTLP_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def spans(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace that have come so far."""
        with self._lock:
            return [span for span in self._spans if span.trace_id == trace_id]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _keep(self, request: ExportTraceServiceRequest) -> None:
        for group in request.resource_spans:
            service = next(pair.value.string_value for pair in group.resource.attributes if pair.key == "service.name")
            found = [
                Span(service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                for scope in group.scope_spans
                for span in scope.spans
            ]
            with self._lock:
                self._spans += found
