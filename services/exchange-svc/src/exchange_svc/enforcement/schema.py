"""The JSON Schema (2020-12) of a view's rows: its items, and of a masked one what is shown in place of its value."""

from typing import Any

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot
from dxmesh_schemas.exchange import ViewSnapshot
from dxmesh_schemas.exchange_terms import Drop, GeneraliseDate, GeneraliseNumber, GeneralisePlace, Keep, Mask, Pseudonym, Replace
from dxmesh_tabular import json_schema
from exchange_svc.enforcement.masks import TOKEN_LENGTH


def of_view(view: ViewSnapshot, resource: ResourceSnapshot) -> dict[str, Any]:
    """Return the schema of a view's rows under a version of its resource; what a mask makes keeps only such rules as hold for it."""
    whole = json_schema.of(resource)
    masks = {one.item: one for one in view.masks}
    properties = whole["properties"]
    shown = {code: _masked(masks[code], resource, properties[code]) if code in masks else properties[code] for code in view.items}
    return whole | {"$id": view.schema_url, "properties": shown, "x-view-id": str(view.view_id), "x-key": list(view.key)}


def _masked(mask: Mask, resource: ResourceSnapshot, plain: dict[str, Any]) -> dict[str, Any]:
    item = resource.item(mask.item)
    assert item is not None, "a view's items are of its version"
    told = {"title": item.name, "x-mask": mask.mask, "x-data-type": item.data_type.value}
    match mask:
        case Drop():
            return told | {"type": "null"}
        case Keep():
            return told | _text(item) | _length(item)
        case Pseudonym():
            return told | _text(item) | {"pattern": f"^[0-9a-f]{{{TOKEN_LENGTH}}}$"}
        case Replace():
            return told | {"enum": [mask.value] if item.required else [mask.value, None]}
        case GeneralisePlace():
            return told | {"type": ["string", "null"]} | _length(item)
        case GeneraliseDate():
            return told | {name: plain[name] for name in ("type", "format")}
        case GeneraliseNumber():
            return told | {name: plain[name] for name in ("type", "x-scale") if name in plain}


def _text(item: DataItem) -> dict[str, Any]:
    return {"type": "string" if item.required else ["string", "null"]}


def _length(item: DataItem) -> dict[str, Any]:
    return {} if item.length is None else {"maxLength": item.length}
