"""Data resources as rows of the guide's template, one an item, and such rows back to entries (编制指南 发改高技〔2017〕1272号)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from catalog_svc.sharing_list import template
from catalog_svc.sharing_list.domain import ListKind
from catalog_svc.sharing_list.sheet import Sheet, choice
from dxmesh_schemas.catalog import OpenType
from dxmesh_schemas.text import comparable

_BETWEEN = "、"
_ITEM = ("item_name", "item_type", "item_length", "item_code", "item_sharing_type", "item_open_type", "item_is_key")
_PLAIN = ("class_path", "name", "provider_unit", "summary", "format_type", "format_note", "sharing_condition", "open_condition")
_MORE = ("sharing_scope", "sharing_reason", "steward")
_CHOICES: dict[str, Mapping[Any, str]] = {
    "format_class": template.FORMAT_TITLES,
    "sharing_type": template.SHARING_TITLES,
    "sharing_channel": template.CHANNEL_TITLES,
    "sharing_mode": template.MODE_TITLES,
    "update_cycle": template.CYCLE_TITLES,
}
_POINTERS = {
    "system_id": "system_name",
    "non_sharing_basis": "basis_kind",
    "non_sharing_basis/kind": "basis_kind",
    "non_sharing_basis/title": "basis_title",
    "non_sharing_basis/article": "basis_article",
    "items": "item_name",
    "key": "item_is_key",
} | {f"census/{name}": name for name in template.CENSUS}
_ITEM_POINTERS = {
    "name": "item_name",
    "code": "item_code",
    "data_type": "item_type",
    "length": "item_length",
    "sharing_type": "item_sharing_type",
    "open_type": "item_open_type",
}


def rows_of(
    entry: Mapping[str, Any],
    *,
    resource_code: str,
    provider_name: str,
    provider_uscc: str,
    system_name: str | None,
    published_on: str | None,
) -> Iterator[dict[str, Any]]:
    """Yield a row an item of an entry in force (a definition or a snapshot, as JSON); every row repeats the resource's cells."""
    shared = {name: entry.get(name) for name in (*_PLAIN, *_MORE)} | {
        name: titles.get(value) if (value := entry.get(name)) else None for name, titles in _CHOICES.items()
    }
    basis = entry.get("non_sharing_basis") or {}
    shared |= {
        "resource_code": resource_code,
        "provider_name": provider_name,
        "provider_uscc": provider_uscc,
        "system_name": system_name,
        "published_on": published_on,
        "is_classified": "涉密" if entry.get("is_classified") else "非涉密",
        "open_type": template.OPEN_TITLES[OpenType(entry["open_type"])],
        "related_codes": _BETWEEN.join(entry.get("related_codes") or ()),
        "sharing_purposes": _BETWEEN.join(template.PURPOSE_TITLES[one] for one in entry.get("sharing_purposes") or ()),
        "basis_kind": template.BASIS_TITLES[basis["kind"]] if basis else None,
        "basis_title": basis.get("title"),
        "basis_article": basis.get("article"),
    }
    shared |= {name: value for name, value in (entry.get("census") or {}).items() if name in template.CENSUS}
    key = entry.get("key") or ()
    for item in entry["items"]:
        yield shared | {
            "item_name": item["name"],
            "item_type": template.TYPE_TITLES[item["data_type"]],
            "item_length": item.get("length"),
            "item_code": item["code"],
            "item_sharing_type": template.SHARING_TITLES[item["sharing_type"]],
            "item_open_type": template.OPEN_TITLES[item["open_type"]],
            "item_is_key": "是" if item["code"] in key else None,
        }


@dataclass(slots=True)
class Group:
    """The rows of one resource: `first` holds its own cells, `rows` its items."""

    row: int
    first: dict[str, Any]
    rows: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)


def groups(found: Sheet) -> list[Group]:
    """Return the resources of a file: a row without a name, or with that of the row above, goes on with the resource above."""
    gathered: list[Group] = []
    for row, cells in found.cells:
        own = {name: value for name, value in cells.items() if name not in _ITEM}
        current = gathered[-1] if gathered else None
        if cells.get("name") is None and current is None:
            found.fault(row, "name", "is empty, and no resource stands above")
            continue
        if current is None or (cells.get("name") is not None and _names(own) != _names(current.first)):
            current = Group(row, own)
            gathered.append(current)
        else:
            _refuse_difference(found, row, own, current)
        current.rows.append((row, cells))
    _refuse_again(found, gathered)
    return gathered


def _names(cells: Mapping[str, Any]) -> tuple[str, Any]:
    return comparable(cells["name"]), cells.get("provider_uscc")


def _refuse_difference(found: Sheet, row: int, own: Mapping[str, Any], current: Group) -> None:
    for name, value in own.items():
        if value is not None and value != current.first.get(name) and not template.column_of(found.kind, name).is_shown:
            found.fault(row, name, f"is another than in row {current.row}, where the resource begins", "write the same, or leave it empty")


def _refuse_again(found: Sheet, gathered: Sequence[Group]) -> None:
    first: dict[tuple[str, Any], int] = {}
    for group in gathered:
        if (row := first.setdefault(_names(group.first), group.row)) != group.row:
            found.fault(group.row, "name", f"is the resource of row {row}", "put the rows of a resource together, or remove one of the two")


def definition(found: Sheet, group: Group, *, system_id: UUID) -> dict[str, Any]:
    """Return what a group says of its resource, as an entry is sent; faults of its cells are noted in `found`."""
    cells = group.first
    entry: dict[str, Any] = {name: cells.get(name) for name in (*_PLAIN, *_MORE)}
    entry |= {name: _chosen(found, group.row, cells, name, titles) for name, titles in _CHOICES.items()}
    entry |= {
        "system_id": system_id,
        "is_classified": _chosen(found, group.row, cells, "is_classified", {True: "涉密", False: "非涉密"}) or False,
        "open_type": _opening(found, group.row, cells),
        "related_codes": _parts(cells.get("related_codes")),
        "sharing_purposes": _purposes(found, group.row, cells),
    }
    census = {name: cells[name] for name in template.CENSUS if cells.get(name) is not None}
    if census:
        entry["census"] = census
    basis = {name: cells.get(f"basis_{name}") for name in ("title", "article")}
    kind = _chosen(found, group.row, cells, "basis_kind", template.BASIS_TITLES)
    if kind is not None or any(basis.values()):
        entry["non_sharing_basis"] = {"kind": kind, **basis}
    entry["items"] = [_item(found, place, row, one) for place, (row, one) in enumerate(group.rows, 1)]
    entry["key"] = [
        item["code"]
        for item, (row, one) in zip(entry["items"], group.rows, strict=True)
        if _chosen(found, row, one, "item_is_key", {True: "是", False: "否"})
    ]
    return {name: value for name, value in entry.items() if value is not None}


def _item(found: Sheet, place: int, row: int, cells: Mapping[str, Any]) -> dict[str, Any]:
    item = {
        "code": cells.get("item_code") or f"item_{place}",
        "name": cells.get("item_name"),
        "data_type": _chosen(found, row, cells, "item_type", template.TYPE_TITLES),
        "length": cells.get("item_length"),
        "sharing_type": _chosen(found, row, cells, "item_sharing_type", template.SHARING_TITLES),
        "open_type": _chosen(found, row, cells, "item_open_type", template.OPEN_TITLES),
    }
    return {name: value for name, value in item.items() if value is not None}


def _opening(found: Sheet, row: int, cells: Mapping[str, Any]) -> Any:
    """Return the open type; the guide's own form says yes or no, with a condition or without."""
    yes = OpenType.CONDITIONAL if cells.get("open_condition") else OpenType.UNCONDITIONAL
    match cells.get("open_type"):
        case "是":
            return yes
        case "否":
            return OpenType.CLOSED
        case _:
            return _chosen(found, row, cells, "open_type", template.OPEN_TITLES)


def _purposes(found: Sheet, row: int, cells: Mapping[str, Any]) -> list[Any]:
    chosen = []
    for part in _parts(cells.get("sharing_purposes")):
        try:
            chosen.append(choice(template.PURPOSE_TITLES, part))
        except ValueError as wrong:
            found.fault(row, "sharing_purposes", str(wrong))
    return chosen


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").replace(",", _BETWEEN).replace("，", _BETWEEN).split(_BETWEEN) if part.strip()]


def _chosen(found: Sheet, row: int, cells: Mapping[str, Any], name: str, titles: Mapping[Any, str]) -> Any:
    try:
        return choice(titles, cells.get(name))
    except ValueError as wrong:
        found.fault(row, name, str(wrong))
        return None


def place_of(group: Group, pointer: str) -> tuple[int, str]:
    """Return the row and the field a fault of the entry is in, by its JSON pointer."""
    parts = pointer.strip("/").split("/")
    if parts[0] == "items" and len(parts) > 1 and parts[1].isdigit() and int(parts[1]) < len(group.rows):
        return group.rows[int(parts[1])][0], _ITEM_POINTERS.get("/".join(parts[2:3]), "item_name")
    named = _POINTERS.get("/".join(parts[:2])) or _POINTERS.get(parts[0])
    known = parts[0] in {column.field for column in template.COLUMNS[ListKind.DATA]}
    return group.row, named or (parts[0] if known else "name")
