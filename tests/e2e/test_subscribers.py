"""The subscribers in examples/ as their readers start them: each keeps a copy that is the resource's, and goes on where it ended."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.e2e.node import Department, Node, csv_of, until

SCRIPTS = ("with_aiokafka.py", "with_confluent_kafka.py", "with_kafka_python.py")
GROUPS = ("with-confluent-kafka", "with-kafka-python")  # those that commit
FOLDER = Path(__file__).parents[2] / "examples" / "subscribers"
ITEMS = [
    {"code": "id", "name": "编号", "data_type": "C", "required": True, "length": 20},
    {"code": "name", "name": "名称", "data_type": "C", "length": 50},
]
IDLE_SECONDS = "6"
ZSTANDARD = '''"""What kafka-python asks of the package zstandard, which is not installed here."""
import contextlib, io
import cramjam

class ZstdDecompressor:
    def stream_reader(self, source, read_across_frames):
        return contextlib.nullcontext(io.BytesIO(bytes(cramjam.zstd.decompress(source.read()))))
'''


def run(folder: Path, topic: str) -> dict[str, dict[str, Any]]:
    """Run every subscriber until nothing comes; return what each says it has."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    started = {
        script: subprocess.Popen(
            [sys.executable, FOLDER / script, folder / "reader.json", topic, folder / f"{script}.sqlite", IDLE_SECONDS],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for script in SCRIPTS
    }
    said = {script: process.communicate(timeout=120) for script, process in started.items()}
    for script, process in started.items():
        assert process.returncode == 0, f"{script}: {said[script][1]}"
    return {script: json.loads(out) for script, (out, _) in said.items()}


def push(node: Node, provider: Department, resource_id: UUID, view_id: str, file: Path, kind: str = "upsert") -> str:
    """Push a file, and return its batch once all of it is on the topic."""
    batch, _ = provider.client.push(resource_id, file, kind=kind)  # type: ignore[arg-type]
    deliveries = f"{node.profile.exchange}/v1/batches/{batch.batch_id}/deliveries"
    until(lambda: any(one["view_id"] == view_id for one in provider.client.page(deliveries).items), 60, "no delivery is recorded")
    return str(batch.batch_id)


def test_three_subscribers_keep_the_same_copy_and_go_on_where_it_ended(node: Node, tmp_path: Path) -> None:
    provider, requester = node.department("订阅甲局"), node.department("订阅乙局")
    resource_id = node.resource(provider, "订阅台账", ITEMS, key=["id"])
    grant = node.grant(requester, resource_id)
    view_id = str(grant.view_id)
    told = requester.client.call("POST", f"{node.profile.exchange}/v1/readers", json={"name": "copy"}).json()
    (tmp_path / "reader.json").write_text(json.dumps(told))
    (tmp_path / "zstandard.py").write_text(ZSTANDARD)

    rows = [{"id": f"{number}", "name": f"第{number}行" * 5} for number in range(200)]
    first = push(node, provider, resource_id, view_id, csv_of(rows, tmp_path / "first.csv"))
    gone = push(node, provider, resource_id, view_id, csv_of([{"id": "7"}], tmp_path / "gone.csv"), "delete")
    expected = {"rows": 199, "batches": {first: 200, gone: 1}, "deletions": 1, "repeats": 0}
    assert run(tmp_path, grant.topic) == dict.fromkeys(SCRIPTS, expected)

    again = push(node, provider, resource_id, view_id, csv_of([{"id": "8", "name": "新"}, {"id": "x", "name": "增"}], tmp_path / "new.csv"))
    expected = {"rows": 200, "batches": {first: 200, gone: 1, again: 2}, "deletions": 1, "repeats": 0}
    assert run(tmp_path, grant.topic) == dict.fromkeys(SCRIPTS, expected), "rows that were taken over came again, or new ones did not"

    lag = f"{node.profile.exchange}/v1/grants/{grant.grant_id}/lag"
    seen = {
        one["name"].removeprefix(told["group_prefix"]): one for one in provider.client.call("GET", lag).json()["items"][0]["subscribers"]
    }
    assert {name: (one["standing"], one["unread_row_count"]) for name, one in seen.items()} == dict.fromkeys(GROUPS, ("current", 0))
