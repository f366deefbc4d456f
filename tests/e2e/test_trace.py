"""One trace spans a push from HTTP over outbox and Kafka to quality, acceptance, delivery, table, catalogue, open data and audit."""

import asyncio
import secrets
from pathlib import Path

import pytest

from dxmesh_local.mesh import Mesh
from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.exchange import (
    BatchAccepted,
    BatchReceived,
    DeliveryCompleted,
    DispatchOrdered,
    TableAdvanced,
)
from dxmesh_schemas.quality import AssessmentCompleted
from tests.e2e.node import Node, csv_of, until
from tests.e2e.otlp import Receiver

ITEMS = [
    {"code": "id", "name": "编号", "data_type": "C", "required": True, "length": 20},
    {"code": "name", "name": "名称", "data_type": "C", "required": True, "length": 50},
]
EXPECTED = (BatchReceived, AssessmentCompleted, BatchAccepted, DispatchOrdered, DeliveryCompleted, TableAdvanced)


async def _traces(
    kafka: KafkaSettings, topics: set[str], batch_id: str, resource_id: str, wanted: set[str], seconds: float
) -> dict[str, str]:
    """Return event type -> trace id of the events of one resource's only batch, read with a plain client."""
    consumer = broker.consumer(kafka, *topics)
    await consumer.start()
    found: dict[str, str] = {}
    try:
        async with asyncio.timeout(seconds):
            while not wanted <= found.keys():
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        headers = dict(record.headers)
                        mine = batch_id.encode() in record.value or (
                            headers["ce_type"] == TableAdvanced.TYPE.encode() and resource_id.encode() in record.value
                        )
                        if mine:
                            assert headers["ce_specversion"] == b"1.0"
                            _, trace_id, _, _ = headers["traceparent"].decode().split("-")
                            found[headers["ce_type"].decode()] = trace_id
    except TimeoutError:
        raise AssertionError(f"no event of the batch came of {sorted(wanted - found.keys())}") from None
    finally:
        await consumer.stop()
    return found


def test_one_trace_spans_push_to_delivery_and_audit(mesh: Mesh, node: Node, otlp: Receiver, tmp_path: Path) -> None:
    provider, requester = node.department("踪迹甲局"), node.department("踪迹乙局")
    resource_id = node.resource(provider, "踪迹台账", ITEMS, key=["id"], open_type="UNCONDITIONAL", open_theme="SOCIAL_GOVERNANCE")
    node.grant(requester, resource_id)
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)
    batch_id = "0197c2a0-0000-7000-8000-00000000c0de"
    file = csv_of(({"id": f"{i}", "name": f"第{i}行"} for i in range(10)), tmp_path / "rows.csv")
    answer = provider.client.call(
        "PUT",
        f"{node.profile.exchange}/v1/resources/{resource_id}/batches/{batch_id}",
        content=file.read_bytes(),
        headers={"Content-Type": "text/csv", "traceparent": f"00-{trace_id}-{caller}-01"},
    )
    assert answer.status_code == 201

    wanted = {event.TYPE for event in EXPECTED}
    topics = {event.TOPIC for event in EXPECTED}
    traces = asyncio.run(_traces(mesh.kafka, topics, batch_id, str(resource_id), wanted, 60))
    assert traces == dict.fromkeys(wanted, trace_id)

    services = {"catalog-svc", "exchange-svc", "quality-svc", "open-data-svc", "audit-svc"}
    until(lambda: {span.service for span in otlp.spans(trace_id)} >= services, 30, f"no span of every one of {sorted(services)}")
    logged = {f"log {kind}" for kind in wanted}
    until(lambda: {span.name for span in otlp.spans(trace_id)} >= logged, 30, "audit-svc shows no span for every event of the batch")
    spans = otlp.spans(trace_id)
    pushed = next(span for span in spans if span.name.startswith("PUT "))
    assert (pushed.service, pushed.parent_id) == ("exchange-svc", caller)
    known = {span.span_id for span in spans} | {caller}
    assert [span for span in spans if span.parent_id not in known] == [], "a span hangs in the air"


def test_a_problem_names_the_trace_it_belongs_to(node: Node, otlp: Receiver) -> None:
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    with pytest.raises(Exception, match="There is no such batch") as caught:
        node.authority.call("GET", f"{node.profile.exchange}/v1/batches/0197c2a0-0000-7000-8000-0000000000ff", headers=headers)
    assert caught.value.problem["trace_id"] == trace_id
    until(lambda: otlp.spans(trace_id), 30, "the request's span did not come")
