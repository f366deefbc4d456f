"""One mesh for all end-to-end tests that leave it whole; tests that hurt a mesh start their own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxmesh_local.mesh import Mesh
from tests.e2e.desk import ITEMS, Desk
from tests.e2e.node import Node
from tests.e2e.otlp import Receiver

BODY_MAX_BYTES = 340 * 1000 * 1000
INFLATED_MAX_BYTES = 100 * 1000 * 1000


@pytest.fixture(scope="session")
def otlp() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def mesh(otlp: Receiver) -> Iterator[Mesh]:
    environment = {
        "LIMITS__BODY_MAX_BYTES": str(BODY_MAX_BYTES),
        "LIMITS__INFLATED_MAX_BYTES": str(INFLATED_MAX_BYTES),
        "TELEMETRY__OTLP_ENDPOINT": otlp.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with tempfile.TemporaryDirectory(prefix="dxmesh-e2e-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with Mesh(Path(folder) / "home", environment=environment, say=print) as running:
            yield running


@pytest.fixture(scope="session")
def node(mesh: Mesh) -> Iterator[Node]:
    found = Node(mesh)
    yield found
    found.close()


@pytest.fixture(scope="session")
def desk(node: Node) -> Desk:
    provider, other = node.department("收件局"), node.department("旁观局")
    return Desk(node, provider, other, node.resource(provider, "收件台账", ITEMS, max_quarantined_ratio=1.0))
