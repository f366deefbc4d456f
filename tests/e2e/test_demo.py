"""The main job, as its user starts it: `dxmesh demo --json` on a machine where nothing runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ckanapi
import pytest

from dxmesh_client.receipt import ReceiptInvalid, verify
from dxmesh_local.ports import Ports
from dxmesh_runtime.settings import KafkaSettings
from tests import patient
from tests.e2e.node import read_topic

pytestmark = pytest.mark.long


def _run(home: Path, ports: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ports, "DXMESH_HOME": str(home)}
    command = [str(Path(sys.executable).with_name("dxmesh")), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> object:
    home = tmp_path_factory.mktemp("demo") / "home"
    for folder in (home.parent, *home.parent.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    ports = Ports.free().environment()
    first = _run(home, ports, "demo", "--json")
    yield home, ports, first
    environment = {**os.environ, **ports, "DXMESH_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "dxmesh_local", "down"], env=environment, check=True, timeout=120, capture_output=True)


def test_the_demo_ends_well_and_its_numbers_agree(demo: tuple[Path, dict[str, str], subprocess.CompletedProcess[str]]) -> None:
    _, _, first = demo
    assert first.returncode == 0, first.stderr[-3000:]
    numbers = json.loads(first.stdout)
    assert numbers["rows_received"] == 2978 + 41352 + 100 + 60
    assert numbers["rows_received"] == numbers["rows_accepted"] + numbers["rows_quarantined"] + numbers["rows_rejected"]
    assert (numbers["rows_quarantined"], numbers["rows_rejected"]) == (5, 60)
    assert numbers["rows_delivered"] == numbers["rows_read_by_subscriber"] == 41352 + 95
    assert numbers["rows_lent"] == numbers["rows_posted"] == 6
    assert numbers["webhook_answers"] == "500, 204"
    assert numbers["rows_opened"] == 2978 + 41352
    assert numbers["receipt_verified"]
    assert numbers["tampered_receipt_refused"]
    assert numbers["ledger_balanced"]
    assert numbers["log_entries"] > 20
    assert len(numbers["urls"]) == 11
    for name, url in numbers["urls"].items():
        answer = patient.get(url)
        assert answer.status_code == 200, f"{name}: {answer.status_code}"
        assert "html" in answer.headers["content-type"], name


def test_a_second_demo_on_the_running_mesh_changes_no_number(
    demo: tuple[Path, dict[str, str], subprocess.CompletedProcess[str]],
) -> None:
    home, ports, first = demo
    second = _run(home, ports, "demo", "--json")
    assert second.returncode == 0, second.stderr[-3000:]
    counted = [name for name in json.loads(first.stdout) if name.startswith("rows_") and name != "rows_per_second"]
    assert {name: json.loads(second.stdout)[name] for name in counted} == {name: json.loads(first.stdout)[name] for name in counted}


def test_ckanapi_finds_and_reads_the_open_dataset(demo: tuple[Path, dict[str, str], subprocess.CompletedProcess[str]]) -> None:
    urls = json.loads(demo[2].stdout)["urls"]
    with ckanapi.RemoteCKAN(urls["portal"].rstrip("/")) as portal:
        assert len(portal.action.package_list()) == 2
        found = portal.action.package_search(q="乡级")
        assert found["count"] == 1
        package = portal.action.package_show(id=found["results"][0]["name"])
        csv = next(resource for resource in package["resources"] if resource["format"] == "CSV")
        rows = portal.action.datastore_search(resource_id=csv["id"], q="东华门", limit=5)
        assert [row["code"] for row in rows["records"]] == ["110101001"]
        with pytest.raises(ckanapi.NotFound):
            portal.action.package_show(id="not-there")


def test_the_receipt_holds_offline_and_no_other_does(demo: tuple[Path, dict[str, str], subprocess.CompletedProcess[str]]) -> None:
    home, _, first = demo
    key = patient.get(json.loads(first.stdout)["urls"]["audit-svc API"].replace("/docs", "/v1/log-key")).text.strip()
    receipt = (home / "demo" / "streets.csv.receipt.json").read_bytes()
    payload = json.loads(verify(receipt, key).payload)
    assert payload["received_count"] == 41352
    with pytest.raises(ReceiptInvalid):
        verify((home / "demo" / "tampered.receipt.json").read_bytes(), key)


def test_the_topic_holds_the_file_row_by_row(demo: tuple[Path, dict[str, str], subprocess.CompletedProcess[str]]) -> None:
    home, _, _ = demo
    profile = json.loads((home / "demo" / "requester.json").read_text())
    token = patient.post(
        f"{profile['catalog']}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(profile["client_id"], profile["client_secret"]),
    ).json()["access_token"]
    grants = patient.get(f"{profile['exchange']}/v1/grants", headers={"Authorization": f"Bearer {token}"}).json()["items"]
    reader = KafkaSettings(
        bootstrap_servers=profile["kafka"],
        security_protocol=profile["kafka_security_protocol"],
        sasl_mechanism=profile["kafka_mechanism"],
        sasl_username=profile["kafka_username"],
        sasl_password=profile["kafka_password"],
    )
    topic = next(grant["topic"] for grant in grants if grant["state"] == "active")
    seen = read_topic(reader, topic, 41352 + 95)
    lines = (Path(__file__).parents[2] / "examples" / "divisions" / "streets.csv").read_text(encoding="utf-8").splitlines()[1:]
    expected = {line.split(",")[0]: line.split(",")[1].strip('"') for line in lines}
    assert {item.key: item.value["name"] for item in seen if item.value} == expected
    first_batch = [item for item in seen if item.batch == seen[0].batch]
    assert sorted(item.row for item in first_batch) == list(range(1, len(first_batch) + 1))
