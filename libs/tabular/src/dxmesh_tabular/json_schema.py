"""A resource version as JSON Schema 2020-12: what a row's JSON looks like on topics and in downloads."""

import re
import warnings
from typing import Any

from dxmesh_schemas.catalog import DataItem, DataType, ItemFormat, ResourceSnapshot

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MEDIA_TYPE = "application/schema+json"
_MONEY_SCALE = 2
_INT64 = 2**63
_RUST_ONLY = re.compile(r"\(\?|\\[pPxXzAB]|\[\[|&&|--|~~")
_FORMS = {
    ItemFormat.RESIDENT_ID: r"^[0-9]{17}[0-9X]$",
    ItemFormat.USCC: r"^[0-9A-HJ-NPQRTUWXY]{18}$",
    ItemFormat.DIVISION: r"^[0-9]{2}([0-9]{2}([0-9]{2}([0-9]{3}([0-9]{3})?)?)?)?$",
}


def of(resource: ResourceSnapshot) -> dict[str, Any]:
    """Return the schema of a version's rows.

    A required item is never null, any other may be. No item is `required` to be present, as a view may hold fewer of them. What
    JSON Schema cannot say stands in `x-` members: key, reference, code set, and a pattern of Rust's syntax that ECMA-262 lacks.
    """
    return {
        "$schema": DIALECT,
        "$id": resource.schema_url,
        "title": resource.name,
        "description": resource.summary,
        "type": "object",
        "properties": {item.code: _item(item) for item in resource.items},
        "additionalProperties": False,
        "x-resource-id": str(resource.resource_id),
        "x-resource-code": resource.resource_code,
        "x-version": resource.version,
        "x-key": list(resource.key),
    }


def _item(item: DataItem) -> dict[str, Any]:
    form = _type(item)
    form["title"] = item.name
    if item.description:
        form["description"] = item.description
    if item.enumeration is not None:
        form["enum"] = [*item.enumeration] if item.required else [*item.enumeration, None]
    if item.code_set is not None:
        form["x-code-set"] = item.code_set.model_dump(exclude_none=True)
    if item.reference is not None:
        form["x-reference"] = item.reference.model_dump(mode="json")
    form["x-data-type"] = item.data_type.value
    if not item.required:
        form["type"] = [form["type"], "null"]
    return form


def _type(item: DataItem) -> dict[str, Any]:
    if item.data_type.is_text:
        return _text(item)
    if item.data_type is DataType.DATE:
        return {"type": "string", "format": "date"}
    if item.data_type is DataType.DATETIME:
        return {"type": "string", "format": "date-time"}
    if item.data_type is DataType.LOGICAL:
        return {"type": "boolean"}
    bounds = {label: bound for label, bound in (("minimum", item.minimum), ("maximum", item.maximum)) if bound is not None}
    if item.data_type is DataType.INTEGER:
        return {"type": "integer", "minimum": -_INT64, "maximum": _INT64 - 1} | bounds
    scale = _MONEY_SCALE if item.data_type is DataType.MONEY and item.scale is None else item.scale
    if scale is None:
        return {"type": "number", **bounds}
    # written with all digits; `multipleOf` would be checked in binary floating point, where 0.1 is no multiple of 0.01
    return {"type": "number" if scale else "integer", "x-scale": scale, **bounds}


def _text(item: DataItem) -> dict[str, Any]:
    form: dict[str, Any] = {"type": "string"}
    if item.length is not None:
        form["maxLength"] = item.length
    patterns = []
    if item.pattern is not None:
        whole = f"^(?:{item.pattern})$"
        if _is_common(item.pattern):
            patterns.append(whole)
        else:
            form["x-pattern"] = whole
    if item.format is not None:
        form["x-format"] = item.format.value
        patterns.append(_FORMS[item.format])
    if len(patterns) == 1:
        form["pattern"] = patterns[0]
    elif patterns:
        form["allOf"] = [{"pattern": pattern} for pattern in patterns]
    return form


def _is_common(pattern: str) -> bool:
    """Say whether a pattern means the same to Rust, ECMA-262 and Python readers; when in doubt it does not."""
    if _RUST_ONLY.search(pattern):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        try:
            re.compile(pattern)
        except (re.error, FutureWarning):
            return False
    return True
