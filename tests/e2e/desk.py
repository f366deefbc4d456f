"""Two departments that files are sent for: what is asked over HTTP, and what is demanded of a refusal."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from dxmesh_client.models import Batch
from dxmesh_local.mesh import Mesh
from tests import patient
from tests.e2e.node import Department, Node

ITEMS = [
    {"code": "id", "name": "编号", "data_type": "C", "required": True, "length": 20},
    {"code": "name", "name": "名称", "data_type": "C", "required": True, "length": 50},
    {"code": "count", "name": "数量", "data_type": "I", "minimum": 0},
]
GOOD = "id,name,count\n1,甲,1\n2,乙,2\n3,丙,3\n".encode()
CSV, NDJSON, JSON = "text/csv", "application/x-ndjson", "application/json"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Desk:
    """A department with a resource that takes every share of bad rows, and another department."""

    node: Node
    provider: Department
    other: Department
    resource_id: UUID

    def url(self, batch_id: object, resource_id: object = None) -> str:
        return f"{self.node.profile.exchange}/v1/resources/{resource_id or self.resource_id}/batches/{batch_id}"

    def put(self, batch_id: object, body: bytes, headers: dict[str, str], **query: str) -> httpx.Response:
        authorized = {"Authorization": f"Bearer {self.provider.client.token()}", **headers}
        return patient.put(self.url(batch_id), params=query, content=body, headers=authorized)

    def knows(self, batch_id: UUID) -> bool:
        headers = {"Authorization": f"Bearer {self.provider.client.token()}"}
        answer = patient.get(f"{self.node.profile.exchange}/v1/batches/{batch_id}", headers=headers)
        assert answer.status_code in (200, 404), answer.text
        return answer.status_code == 200

    def good_under(self, batch_id: UUID) -> Batch:
        answer = self.put(batch_id, GOOD, {"Content-Type": CSV})
        assert answer.status_code == 201, answer.text
        decided = self.provider.client.wait(batch_id)
        assert (decided.state, decided.accepted_count) == ("accepted", 3)
        return decided


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem an answer is, checked for its form."""
    assert 400 <= answer.status_code < 500, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["type"].startswith("https://")
    assert found["title"]
    assert len(found["detail"]) > 15, found
    assert "Traceback" not in answer.text
    return found


def staged(mesh: Mesh) -> list[Path]:
    return [path for path in (mesh.home.root / "staging").glob("*/*") if path.name not in ("lock", "unlocked")]
