"""Events are the product: one definition, one emitter, one golden schema and example each; only optional fields are ever added."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from dxmesh_schemas.event import Event, Meta
from dxmesh_schemas.events import event_classes
from tests.contract.generate import GOLDEN, ROOT

EVENTS = event_classes()
SERVICES = {"/" + folder.name for folder in (ROOT / "services").iterdir()}


def _by_type(kind: type[Event]) -> str:
    return kind.TYPE


def _golden(kind: type[Event]) -> dict[str, Any]:
    path = GOLDEN / "schemas" / f"{kind.TYPE}.json"
    assert path.exists(), f"{kind.TYPE} has no golden schema: run `make docs`"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _example(kind: type[Event]) -> dict[str, Any]:
    path = GOLDEN / "examples" / f"{kind.TYPE}.json"
    assert path.exists(), f"{kind.TYPE} has no example: write {path.relative_to(ROOT)}"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def removed_or_narrowed(old: Any, new: Any, path: str = "") -> list[str]:
    """Return what a reader of the old schema would miss: fields gone, types changed, fields newly required, enum values gone."""
    faults: list[str] = []
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            if name in ("description", "title", "default", "examples"):
                continue
            if name not in new:
                if name not in ("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "pattern"):
                    faults.append(f"{path}/{name} is gone")
            elif name == "required":
                faults += [f"{path}: {field} became required" for field in set(new[name]) - set(value)]
            elif name == "enum":
                faults += [f"{path}: the value {item} is gone" for item in set(value) - set(new[name])]
            else:
                faults += removed_or_narrowed(value, new[name], f"{path}/{name}")
        if "required" in new and "required" not in old:
            faults.append(f"{path}: {new['required']} became required")
    elif old != new:
        faults.append(f"{path} was {old!r} and is {new!r}")
    return faults


@pytest.mark.parametrize("kind", EVENTS, ids=_by_type)
def test_an_event_keeps_what_readers_rely_on(kind: type[Event]) -> None:
    assert removed_or_narrowed(_golden(kind), kind.model_json_schema()) == []


def test_a_removed_field_a_changed_type_and_a_new_required_field_are_noticed() -> None:
    old = {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]}
    assert removed_or_narrowed(old, {"properties": {"a": {"type": "string"}}, "required": ["a"]}) == ["/properties/b is gone"]
    retyped = {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]}
    assert len(removed_or_narrowed(old, retyped)) == 2
    assert removed_or_narrowed(old, {"properties": {**old["properties"], "c": {"type": "string"}}, "required": ["a"]}) == []  # type: ignore[dict-item]


@pytest.mark.parametrize("kind", EVENTS, ids=_by_type)
def test_the_golden_example_parses_also_with_a_field_of_the_future(kind: type[Event]) -> None:
    example = _example(kind)
    event = kind.decode(json.dumps(example).encode())
    future = kind.decode(json.dumps({**example, "field_of_the_future": {"a": 1}}).encode())
    assert event == future
    assert set(kind.model_json_schema()["required"]) <= set(example)
    assert kind.decode(event.encode()) == event


@pytest.mark.parametrize("kind", EVENTS, ids=_by_type)
def test_a_type_names_its_service_noun_and_version_and_has_one_emitter(kind: type[Event]) -> None:
    assert kind.SOURCE in SERVICES
    assert kind.TYPE.startswith("dxmesh.")
    assert kind.TYPE.rsplit(".", 1)[1] == "v1"
    assert kind.TYPE.rsplit(".", 2)[0] == kind.TOPIC, "the topic is the type without its verb and version"
    assert kind.KEY in kind.model_fields


@pytest.mark.parametrize("kind", EVENTS, ids=_by_type)
def test_the_cloudevents_sdk_reads_our_records(kind: type[Event]) -> None:
    event = kind.decode(json.dumps(_example(kind)).encode())
    meta = Meta(uuid4(), kind.TYPE, kind.SOURCE, datetime.now(UTC), "subject", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    read = from_binary_event(KafkaMessage(dict(meta.headers()), event.key.encode(), event.encode()))
    assert read.get_type() == kind.TYPE
    assert read.get_id() == str(meta.event_id)
    assert read.get_data() == json.loads(event.encode())
    assert Meta.from_headers(meta.headers()) == meta
