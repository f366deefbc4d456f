"""The command line as its user has it: what each command says for people and as JSON, and what it ends with."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from dxmesh_local.mesh import Mesh
from tests.e2e.node import Node, until, uscc
from tests.e2e.person import DXMESH, UNKNOWN, Person, without_a_node

ITEMS = [
    {"code": "id", "name": "编号", "data_type": "C", "required": True, "length": 20},
    {"code": "name", "name": "名称", "data_type": "C", "required": True, "length": 50},
    {"code": "count", "name": "数量", "data_type": "I", "minimum": 0},
]
ROWS = 25


def _person(tmp_path_factory: pytest.TempPathFactory, name: str) -> Person:
    return Person(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def authority(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Person:
    person = _person(tmp_path_factory, "authority")
    assert person("login", "--node", mesh.home.client_file).code == 0
    return person


def _department(authority: Person, tmp_path_factory: pytest.TempPathFactory, name: str, number: int) -> Person:
    given = ["--name", name, "--uscc", uscc(number), "--division-code", "3306", "--level", "city", "--kind", "department"]
    organization = authority("org", "register", *given, "--json").json
    made = authority(
        "--json", "org", "credential", organization["organization_id"], "--name", "命令行", "--role", "steward", "--role", "cdo"
    ).json
    person = _person(tmp_path_factory, "department")
    node_file = person.folder / "node.json"
    addresses = json.loads(authority.profile.read_bytes())
    node_file.write_text(json.dumps({name: value for name, value in addresses.items() if not name.startswith("client_")}))
    kept = person("login", "--node", node_file, "--client-id", made["client_id"], "--json", stdin=made["client_secret"] + "\n").json
    assert kept["client_id"] == made["client_id"]
    assert kept["log_key"]
    assert person.profile.stat().st_mode & 0o077 == 0
    return person


@pytest.fixture(scope="module")
def provider(authority: Person, tmp_path_factory: pytest.TempPathFactory) -> Person:
    return _department(authority, tmp_path_factory, "命令行甲局", 20_000_001)


@pytest.fixture(scope="module")
def requester(authority: Person, tmp_path_factory: pytest.TempPathFactory) -> Person:
    return _department(authority, tmp_path_factory, "命令行乙局", 20_000_002)


@pytest.fixture(scope="module")
def resource_id(node: Node, authority: Person, provider: Person) -> str:
    """Register a system, and a resource shared on conditions, by commands."""
    system = provider("system", "register", "命令行系统", "--json").json
    assert system["system_id"] in provider("system", "list").out
    document = {
        "system_id": system["system_id"],
        "name": "命令行台账",
        "summary": "命令行台账",
        "class_path": "3/01/001/1",
        "items": ITEMS,
        "key": ["id"],
        "update_cycle": "DAILY",
        "sharing_type": "CONDITIONAL",
        "sharing_condition": "限执法使用",
        "sharing_purposes": ["ADMINISTRATIVE_BASIS"],
        "sharing_reason": "含执法过程信息",
        "steward": "命令行数据管理员",
    }
    (provider.folder / "resource.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    draft = provider("resource", "draft", "resource.json", "--json").json
    found: str = draft["resource_id"]
    authority("resource", "publish", found).failed(1, "409")
    assert provider("resource", "submit", found, "--reason", "年度编目", "--json").json["responsible_role"] == "cdo"
    authority("resource", "approve", found, "--assessed-by", "x").failed(1, "403")
    provider("resource", "return", found, "--reason", "x", "--fault", "summary").failed(1, "/field=")
    assert (
        provider("resource", "return", found, "--reason", "补正", "--fault", "/summary=写明范围", "--json").json["draft_state"] == "draft"
    )
    provider("resource", "submit", found)
    assert provider("resource", "approve", found, "--assessed-by", "保密办", "--json").json["draft_state"] == "approved"
    provider("resource", "publish", found).failed(1, "403")
    assert authority("resource", "publish", found, "--json").json["version"] == 1
    assert provider("resource", "show", found, "--json").json["name"] == "命令行台账"
    steps = [step["step"] for step in provider("resource", "steps", found, "--json").json]
    assert steps == ["drafted", "submitted", "returned", "submitted", "approved", "published"]
    assert "not breaking" in provider("resource", "diff", found, "1", "1").out
    provider("resource", "diff", found).failed(1, "404")
    assert found in {one["resource_id"] for one in provider("resource", "list", "--q", "命令行", "--json").json}
    until(lambda: provider("batch", "list", found).code == 0, 60, "exchange-svc does not know the resource")
    return found


def _csv(person: Person, name: str, rows: range, *more: str) -> Path:
    file = person.folder / name
    lines = ["id,name,count", *(f"{i},第{i}行,{i}" for i in rows), *more]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def pushed(provider: Person, resource_id: str) -> dict[str, Any]:
    """Push a file with a bad line; keep its receipt."""
    file = _csv(provider, "rows.csv", range(1, ROWS + 1), "26,,3")
    found: dict[str, Any] = provider("push", resource_id, file, "--json").json
    assert (found["state"], found["received_count"], found["accepted_count"], found["quarantined_count"]) == ("accepted", 26, 25, 1)
    return found


@pytest.fixture(scope="module")
def grant_id(provider: Person, requester: Person, resource_id: str, pushed: dict[str, Any]) -> str:
    """Ask for access, be refused without and with a reason, ask again and be granted."""
    asking = ["request", "submit", resource_id, "--basis", "条例", "--scenario", "核对", "--purpose", "办案", "--approved-by", "主任"]
    first = requester(*asking, "--json").json
    assert first["state"] == "under_review"
    provider("request", "decide", first["request_id"], "refused", "--approved-by", "局长").failed(1, "reason")
    requester("request", "decide", first["request_id"], "granted", "--approved-by", "局长").failed(1, "403")
    refused = provider("request", "decide", first["request_id"], "refused", "--approved-by", "局长", "--reason", "用途不明", "--json").json
    assert (refused["state"], refused["reason"]) == ("refused", "用途不明")
    second = requester(*asking, "--item", "id", "--item", "name", "--use-until", "2099-12-31", "--json").json
    listed = provider("request", "list", "--json").json
    assert {one["request_id"] for one in listed} >= {first["request_id"], second["request_id"]}
    granted = provider("request", "decide", second["request_id"], "granted", "--approved-by", "局长", "--json").json
    assert granted["state"] == "granted"
    assert requester("request", "show", second["request_id"], "--json").json["grant_id"] == granted["grant_id"]
    provider("request", "decide", second["request_id"], "granted", "--approved-by", "局长").failed(1, "409")
    found: str = granted["grant_id"]
    shown = requester("grant", "show", found, "--json").json
    assert (shown["state"], shown["items"]) == ("active", ["id", "name"])
    assert found in requester("grant", "list").out
    until(lambda: requester("pull", found).out.count("\n") == ROWS, 60, "the rows cannot be pulled")
    return found


@pytest.fixture
def nobody(authority: Person, tmp_path: Path) -> Person:
    return without_a_node(authority, tmp_path)


def test_a_process_of_its_own_ends_with_each_code_that_is_documented(
    provider: Person, nobody: Person, resource_id: str, pushed: dict[str, Any], tmp_path: Path
) -> None:
    assert provider.shell("batch", "show", pushed["batch_id"], "--json").json["state"] == "accepted"
    provider.shell("batch", "show", UNKNOWN).failed(1, "404")
    stranger = Person(tmp_path / "stranger")
    stranger.folder.mkdir()
    stranger.shell("org", "list").failed(2, "dxmesh login")
    nobody.shell("org", "list").failed(3, "does not answer")
    (stranger.folder / "receipt.json").write_text("{}")
    stranger.shell("verify", "receipt.json", "--key", "x").failed(4, "does not verify")
    provider.shell("push", resource_id, _csv(provider, "worse.csv", range(1, 2), "2,,2")).failed(5, "rejected")


# --- refused


def test_kafka_that_is_away_ends_a_tail_with_3(requester: Person, grant_id: str, nobody: Person) -> None:
    profile = json.loads(requester.profile.read_bytes())
    profile["kafka"] = json.loads(nobody.profile.read_bytes())["kafka"]
    nobody.profile.write_text(json.dumps(profile))
    nobody("tail", grant_id).failed(3, "Kafka")


def test_what_is_not_there_ends_with_1(provider: Person, requester: Person, resource_id: str, pushed: dict[str, Any]) -> None:
    file = _csv(provider, "again.csv", range(1, 3))
    for arguments in (
        ["batch", "show", UNKNOWN],
        ["batch", "quarantine", UNKNOWN],
        ["batch", "deliveries", UNKNOWN],
        ["batch", "list", UNKNOWN],
        ["receipt", UNKNOWN],
        ["grant", "show", UNKNOWN],
        ["grant", "terminate", UNKNOWN, "--reason", "x"],
        ["request", "show", UNKNOWN],
        ["request", "decide", UNKNOWN, "granted", "--approved-by", "x"],
        ["resource", "show", UNKNOWN],
        ["pull", UNKNOWN, "rows.csv.pulled.csv"],
        ["tail", UNKNOWN],
        ["push", UNKNOWN, file],
    ):
        provider(*arguments).failed(1, "404")
    requester("batch", "show", pushed["batch_id"]).failed(1, "404")
    assert not list(provider.folder.glob("*.part"))


# --- push and proof


def test_a_push_speaks_for_people_and_changes_nothing_the_second_time(provider: Person, resource_id: str, pushed: dict[str, Any]) -> None:
    again = provider("push", resource_id, "rows.csv")
    assert again.code == 0
    assert f"batch {pushed['batch_id']}: 26 rows received earlier; nothing changed" in again.out
    assert "accepted 25 rows, quarantined 1" in again.out
    assert "receipt kept in rows.csv.receipt.json" in again.out
    assert provider("push", resource_id, "rows.csv", "--json").json["is_new"] is False
    assert provider("batch", "show", pushed["batch_id"], "--json").json["state"] == "accepted"
    listed = provider("batch", "list", resource_id, "--json").json
    assert pushed["batch_id"] in {one["batch_id"] for one in listed}
    lines = provider("batch", "quarantine", pushed["batch_id"], "--json").json
    assert [(line["row"], line["item"], line["rule"]) for line in lines] == [(26, "name", "required")]
    assert "required" in provider("batch", "quarantine", pushed["batch_id"]).out


def test_a_batch_id_used_for_another_file_ends_with_1(provider: Person, resource_id: str, pushed: dict[str, Any]) -> None:
    other = _csv(provider, "other.csv", range(1, 3))
    provider("push", resource_id, other, "--batch-id", pushed["batch_id"]).failed(1, "409")


def test_a_rejected_batch_ends_with_5_and_still_says_all(provider: Person, resource_id: str) -> None:
    bad = _csv(provider, "bad.csv", range(1, 3), "3,,3", "4,,4")
    done = provider("push", resource_id, bad, "--json")
    done.failed(5, "rejected", "dxmesh batch quarantine")
    found = json.loads(done.out)
    assert (found["state"], found["rejected_count"]) == ("rejected", 4)
    assert len(provider("batch", "quarantine", found["batch_id"], "--json").json) == 2


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("rows.doc", b"id,name\n1,a\n", "ending"),
        ("empty.csv", b"", "400"),
        ("unknown.csv", b"id,name,colour\n1,a,red\n", "colour"),
        ("cut.csv.gz", b"\x1f\x8b\x08\x00", "400"),
        ("no.xlsx", b"PK", "400"),
        ("[red]odd[/nothing].csv", b"id,name,[/x]\n1,a,b\n", "[/x]"),
    ],
)
def test_a_file_that_is_refused_ends_with_1(provider: Person, resource_id: str, name: str, content: bytes, word: str) -> None:
    (provider.folder / name.replace("/", "")).write_bytes(content)
    provider("push", resource_id, name.replace("/", "")).failed(1, word)


def test_a_receipt_is_fetched_verified_offline_and_refused_when_changed(provider: Person, pushed: dict[str, Any], tmp_path: Path) -> None:
    shown = provider("receipt", pushed["batch_id"], "--json").json
    assert provider("receipt", pushed["batch_id"], "receipt.json").code == 0
    kept = provider.folder / "receipt.json"
    assert json.loads(kept.read_bytes())["entry"] == shown["entry"]
    key = json.loads(provider.profile.read_bytes())["log_key"]
    offline = Person(tmp_path)
    found = offline("verify", kept, "--key", key, "--json").json
    assert (found["verified"], found["event_id"]) == (True, pushed["event_id"])
    assert found["event"]["received_count"] == 26
    plain = provider("verify", "receipt.json")
    assert (plain.code, "verified" in plain.out, pushed["event_id"] in plain.out) == (0, True, True)
    entry = shown["entry"]
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(shown | {"entry": ("A" if entry[0] != "A" else "B") + entry[1:]}))
    offline("verify", changed, "--key", key).failed(4, "does not verify")
    for content in ("", "{}", "[1]", "\udcff"):
        changed.write_bytes(content.encode("utf-8", "surrogateescape"))
        offline("verify", changed, "--key", key).failed(4, "does not verify")
    offline("verify", kept, "--key", "no-key").failed(4, "key")
    provider("receipt", pushed["batch_id"], "no/such/folder/receipt.json").failed(1, "No such file or directory")


# --- reading


def test_rows_are_pulled_to_files_whole(requester: Person, grant_id: str) -> None:
    expected = [{"id": str(i), "name": f"第{i}行"} for i in range(1, ROWS + 1)]
    for name in ("rows.csv", "rows.ndjson", "rows.jsonl", "rows.json", "rows.parquet"):
        done = requester("pull", grant_id, name, "--limit", 10, "--json").json
        assert done == {"row_count": ROWS, "file": name}
    folder = requester.folder
    assert pl.read_csv(folder / "rows.csv", infer_schema=False).to_dicts() == expected
    assert pl.read_ndjson(folder / "rows.ndjson").to_dicts() == expected
    assert json.loads((folder / "rows.json").read_bytes()) == expected
    assert pl.read_parquet(folder / "rows.parquet").to_dicts() == expected
    assert not list(folder.glob("*.part"))
    shown = requester("pull", grant_id, "rows.csv").out
    assert re.search(rf"row_count\s+{ROWS}\b", shown), shown
    requester("pull", grant_id, "rows.doc").failed(1, "ending")
    requester("pull", grant_id, "no/such/folder/rows.csv").failed(1, "No such file or directory")


@pytest.fixture(scope="module")
def reading(requester: Person, grant_id: str) -> dict[str, Any]:
    """Register a Kafka user of the requester and keep it in its profile."""
    requester("tail", grant_id, "--count", 1).failed(3, "dxmesh reader add")
    made: dict[str, Any] = requester("reader", "add", "cli", "--keep", "--json").json
    return made


def test_readers_are_registered_shown_and_ended(requester: Person, provider: Person, reading: dict[str, Any]) -> None:
    assert json.loads(requester.profile.read_bytes())["kafka_password"] == reading["password"]
    assert [one["name"] for one in requester("reader", "list", "--json").json] == ["cli"]
    assert reading["user_name"] in requester("reader", "show", reading["reader_id"]).out
    requester("reader", "add", "cli").failed(1, "409", "has a reader cli")
    requester("reader", "add").failed(1, "422", "system_id")
    provider("reader", "show", reading["reader_id"]).failed(1, "404")
    other = requester("reader", "add", "other", "--json").json
    assert requester("reader", "rotate", other["reader_id"], "--json").json["password"] != other["password"]
    assert requester("reader", "revoke", other["reader_id"], "--json").json["state"] == "revoked"


def test_a_topic_is_followed_row_by_row(requester: Person, grant_id: str, pushed: dict[str, Any], reading: dict[str, Any]) -> None:
    done = requester("tail", grant_id, "--from-start", "--count", ROWS)
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert sorted(row["row"] for row in rows) == list(range(1, ROWS + 1))
    assert {row["batch"] for row in rows} == {pushed["batch_id"]}
    assert {row["key"]: row["value"] for row in rows}["7"] == {"id": "7", "name": "第7行"}
    idle = requester("tail", grant_id, "--idle-seconds", 0.5)
    assert (idle.code, idle.out) == (0, "")


def test_deliveries_are_shown_to_the_provider(provider: Person, grant_id: str, pushed: dict[str, Any]) -> None:
    found = until(lambda: provider("batch", "deliveries", pushed["batch_id"], "--json").json, 30, "no delivery is recorded")
    assert [(one["accepted_count"], one["delivered_count"]) for one in found] == [(ROWS, ROWS)]


def test_a_reader_that_stops_reading_is_no_fault(requester: Person, grant_id: str, reading: dict[str, Any]) -> None:
    asked = f"set -o pipefail; {DXMESH} tail {grant_id} --from-start | head -n 1"  # which would go on for ever, with nothing more to come
    environment = {**os.environ, "DXMESH_PROFILE": str(requester.profile)}
    done = subprocess.run(["bash", "-c", asked], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


# --- for programs


def test_every_list_is_json_when_asked(authority: Person, provider: Person, resource_id: str) -> None:
    for person, arguments in (
        (authority, ["org", "list"]),
        (authority, ["system", "list"]),
        (authority, ["resource", "list"]),
        (provider, ["request", "list"]),
        (provider, ["grant", "list"]),
        (provider, ["batch", "list", resource_id]),
    ):
        assert isinstance(person("--json", *arguments).json, list)
        assert person(*arguments).code == 0


def test_a_demand_finds_what_is_published_and_becomes_a_request(requester: Person, resource_id: str) -> None:
    columns = "责任部门统一社会信用代码,名称,内容,状态,完成期限"
    file = requester.folder / "demands.csv"
    file.write_text(f"{columns}\n{uscc(20_000_002)},命令行台账核对,需要编号和数量,,2099-12-31\n", encoding="utf-8")
    assert requester("list", "import", "demand", file).code == 0

    def found() -> Any:
        return next((one for one in requester("demand", "list", "--json").json if one["name"] == "命令行台账核对"), None)

    demand = until(found, 60, "exchange-svc does not know the demand")
    matches = {one["resource_id"]: one["items"] for one in requester("demand", "matches", demand["demand_id"], "--json").json}
    assert matches[resource_id] == ["count", "id"]  # the mesh holds like resources of other tests, which may come before it
    papers = ["--basis", "条例", "--approved-by", "主任", "--item", "id"]
    asked = requester("demand", "request", demand["demand_id"], resource_id, *papers, "--json").json
    assert (asked["state"], asked["demand_id"], asked["scenario"]) == ("under_review", demand["demand_id"], "命令行台账核对")
    assert requester("offer", "list", "--json").json == []
    requester("offer", "accept", UNKNOWN, "--approved-by", "主任").failed(1, "404")


def test_the_end_of_a_grant_and_of_a_resource(
    authority: Person, provider: Person, requester: Person, resource_id: str, grant_id: str
) -> None:
    assert provider("grant", "terminate", grant_id, "--reason", "用毕", "--json").json["state"] == "terminated"
    requester("pull", grant_id, "late.csv").failed(1, "403")
    assert not (requester.folder / "late.csv").exists()
    assert provider("resource", "withdraw", resource_id, "--reason", "停办", "--json").json["state"] == "withdrawn"
    provider("resource", "draft", "not-there.json").failed(1, "not-there.json")
    file = _csv(provider, f"{uuid4()}.csv", range(1, 3))
    until(lambda: provider("push", resource_id, file).code == 1, 30, "a withdrawn resource takes batches")
