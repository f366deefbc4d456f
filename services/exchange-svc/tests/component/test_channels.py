"""The AsyncAPI document: what a caller may read, described so that its rows can be checked; valid by the reference parser where it is."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dxmesh_schemas.catalog import SharingType
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced

ROOT = Path(__file__).parents[4]
PARSER = Path(os.environ.get("ASYNCAPI_PARSER") or ROOT / ".venv" / "asyncapi")
EFFECTIVE_AT = datetime(2026, 12, 22, 8, tzinfo=UTC)
ROW = {"code": "330602001", "name": "塔山街道", "people": 81234, "since": "2001-05-01"}


async def described(exchange: Any, headers: dict[str, str]) -> dict[str, Any]:
    answer = await exchange.client.get("/v1/asyncapi.json", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.aai.asyncapi+json"
    found: dict[str, Any] = answer.json()
    return found


def resolved(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [value["$ref"]] if "$ref" in value else [one for inner in value.values() for one in references(inner)]
    return [one for inner in value for one in references(inner)] if isinstance(value, list) else []


async def test_a_requester_finds_its_topics_and_the_form_of_their_rows(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource, items=["code", "people"])
    await exchange.granted(await exchange.publish(), by=exchange.stranger)
    document = await described(exchange, exchange.steward(exchange.requester))
    assert document["asyncapi"] == "3.0.0"
    assert [channel["address"] for channel in document["channels"].values()] == [grant["topic"]]
    assert all(resolved(document, one) for one in references(document))
    message = document["components"]["messages"][grant["view_id"]]
    accepts = jsonschema.Draft7Validator(message["payload"], format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)
    assert accepts.is_valid({"code": "330602001", "people": 81234})
    assert accepts.is_valid(None), "a record without a value deletes its key"
    for wrong in (ROW, {"code": None}, {"people": "many"}):
        assert not accepts.is_valid(wrong), wrong
    assert message["bindings"]["kafka"]["key"]["description"] == "the text of `code` (代码)"
    headers = jsonschema.Draft7Validator(message["headers"])
    assert headers.is_valid({"batch": "0197c2a0-0000-7000-8000-00000000c0de", "row": "1", "schema": resource.schema_url})
    assert not headers.is_valid({"batch": "0197c2a0-0000-7000-8000-00000000c0de", "row": "0", "schema": resource.schema_url})


async def test_the_authority_sees_every_topic_and_whoever_holds_no_grant_none(exchange: Any) -> None:
    topics = {(await exchange.granted(await exchange.publish(), by=one))["topic"] for one in (exchange.requester, exchange.stranger)}
    document = await described(exchange, exchange.authority)
    assert {channel["address"] for channel in document["channels"].values()} == topics
    assert (await described(exchange, exchange.steward(exchange.provider)))["channels"] == {}
    assert (await exchange.client.get("/v1/asyncapi.json")).status_code == 401


async def test_what_ends_is_described_no_longer_and_what_comes_is_already(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    coming = resource.model_copy(
        update={"version": 2, "items": resource.items[:3], "schema_url": "https://mesh.example/2", "published_at": EFFECTIVE_AT}
    )
    announced = ResourceChangeAnnounced(
        resource_id=resource.resource_id,
        resource=coming,
        effective_at=EFFECTIVE_AT,
        announced_at=datetime(2026, 11, 22, tzinfo=UTC),
        broken_items=("since",),
        breaks_all=False,
        grants=(),
    )
    await exchange.deliver(announced)
    document = await described(exchange, exchange.steward(exchange.requester))
    told = {(one["x-resource-version"], one.get("x-effective-at")) for one in document["channels"].values()}
    assert told == {(1, None), (2, EFFECTIVE_AT.isoformat())}
    [new] = [view_id for view_id, one in document["channels"].items() if one["x-resource-version"] == 2]
    assert list(document["components"]["messages"][new]["payload"]["properties"]) == ["code", "name", "people"]
    await exchange.client.post(
        f"/v1/grants/{grant['grant_id']}/termination", json={"reason": "完"}, headers=exchange.steward(exchange.requester)
    )
    assert (await described(exchange, exchange.steward(exchange.requester)))["channels"] == {}


async def test_a_masked_item_is_described_as_what_leaves(exchange: Any) -> None:
    masks = [{"item": "name", "mask": "keep", "prefix": 1}, {"item": "since", "mask": "drop"}]
    grant = await exchange.granted(await exchange.publish(), terms={"masks": masks})
    document = await described(exchange, exchange.steward(exchange.requester))
    payload = document["components"]["messages"][grant["view_id"]]["payload"]
    assert [payload["properties"][code].get("x-mask") for code in ("code", "name", "since")] == [None, "keep", "drop"]
    accepts = jsonschema.Draft7Validator(payload)
    assert accepts.is_valid(ROW | {"name": "塔***", "since": None})
    assert not accepts.is_valid(ROW), "the day does not leave"


async def test_a_key_of_several_items_is_an_array_and_one_that_is_not_granted_is_none(exchange: Any) -> None:
    both = await exchange.publish(key=("code", "name"), sharing_type=SharingType.UNCONDITIONAL)
    whole, part = await exchange.granted(both), await exchange.granted(both, items=["code"], by=exchange.stranger)
    messages = (await described(exchange, exchange.authority))["components"]["messages"]
    keys = {grant["view_id"]: messages[grant["view_id"]]["bindings"]["kafka"]["key"] for grant in (whole, part)}
    assert keys[whole["view_id"]]["description"] == "a JSON array of code, name"
    assert keys[part["view_id"]]["type"] == "null"


@pytest.mark.skipif(
    shutil.which("node") is None or not (PARSER / "node_modules").is_dir(), reason="the AsyncAPI parser is not there: run `make asyncapi`"
)
async def test_the_document_is_valid_by_the_reference_parser(exchange: Any, tmp_path: Path) -> None:
    await exchange.granted(await exchange.publish())
    files = []
    for name, headers in (("mine", exchange.steward(exchange.requester)), ("all", exchange.authority)):
        document = await described(exchange, headers)
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    assert check(*files) == (0, "")
    next(iter(document["operations"].values()))["action"] = "look"
    files[-1].write_text(json.dumps(document))
    code, said = check(files[-1])
    assert code == 1
    assert "action" in said


def check(*files: Path) -> tuple[int, str]:
    # a module finds its packages beside itself
    shutil.copy(Path(__file__).parents[1] / "asyncapi" / "validate.mjs", PARSER)
    done = subprocess.run(["node", PARSER / "validate.mjs", *files], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout
