"""What differs between two versions of a resource, in words a reader and a program understand."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from catalog_svc.resource.rules import strictest
from dxmesh_schemas.catalog import DataItem, SharingType, Snapshot

_NOT_COMPARED = {"items", "version", "published_at", "schema_url", "resource_id"}


class Effect(StrEnum):
    """What a change of an item, or of one of its fields, does to those who read it."""

    ADDED = "added"
    REMOVED = "removed"
    RETYPED = "retyped"
    NARROWED = "narrowed"  # fewer values than before, or shared with fewer
    WIDENED = "widened"
    CHANGED = "changed"  # neither narrower nor wider, or it cannot be told


_BREAKING = (Effect.REMOVED, Effect.RETYPED, Effect.NARROWED)
_WEIGHT = (Effect.CHANGED, Effect.WIDENED, Effect.NARROWED, Effect.RETYPED)
_LOWER_IS_NARROWER = ("length", "maximum")
_HIGHER_IS_NARROWER = ("minimum",)
_A_RULE = ("pattern", "format", "code_set", "reference")
_TYPE = ("data_type", "scale")


class FieldDifference(BaseModel):
    """A field before and after; null when it was left out."""

    field: str
    before: Any
    after: Any
    effect: Effect = Effect.CHANGED


class ItemDifference(BaseModel):
    """An item that was added, removed or changed, and in which fields."""

    code: str
    name: str
    effect: Effect
    breaking: bool
    fields: list[FieldDifference]


class Diff(BaseModel):
    """All that differs; `breaking` when items are removed, retyped or narrowed, the key changes, or sharing gets stricter."""

    breaking: bool
    fields: list[FieldDifference]
    items: list[ItemDifference]

    @property
    def breaks_all(self) -> bool:
        """Say whether every reader is touched, whichever items it has."""
        return any(field.effect in _BREAKING for field in self.fields)

    @property
    def broken_items(self) -> list[str]:
        """Return the codes of the items that are removed, retyped or narrowed."""
        return [item.code for item in self.items if item.breaking]


def of(before: Snapshot, after: Snapshot) -> Diff:
    """Return what differs between two versions (snapshots or settled entries), in the order of the later one's items."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    names = [name for name in old | new if name not in _NOT_COMPARED]
    fields = [
        FieldDifference(field=name, before=old.get(name), after=new.get(name), effect=_field_effect(name, old.get(name), new.get(name)))
        for name in names
        if old.get(name) != new.get(name)
    ]
    items = _items(_by_code(before), _by_code(after))
    breaking = any(item.breaking for item in items) or any(field.effect in _BREAKING for field in fields)
    return Diff(breaking=breaking, fields=fields, items=items)


def _by_code(entry: Snapshot) -> dict[str, DataItem]:
    found: tuple[DataItem, ...] = getattr(entry, "items")  # noqa: B009 - a snapshot and a settled entry both have it
    return {item.code: item for item in found}


def _field_effect(name: str, before: Any, after: Any) -> Effect:
    if name == "sharing_type":
        return _sharing(before, after)
    return Effect.RETYPED if name == "key" else Effect.CHANGED


def _sharing(before: str, after: str) -> Effect:
    kinds = SharingType(before), SharingType(after)
    return Effect.NARROWED if strictest(kinds) is kinds[1] else Effect.WIDENED


def _items(before: dict[str, DataItem], after: dict[str, DataItem]) -> list[ItemDifference]:
    found = []
    for code, item in after.items():
        if code not in before:
            found.append(ItemDifference(code=code, name=item.name, effect=Effect.ADDED, breaking=False, fields=[]))
        elif fields := _item_fields(before[code], item):
            effect = max((field.effect for field in fields), key=_WEIGHT.index)
            found.append(ItemDifference(code=code, name=item.name, effect=effect, breaking=effect in _BREAKING, fields=fields))
    gone = [item for code, item in before.items() if code not in after]
    found += [ItemDifference(code=item.code, name=item.name, effect=Effect.REMOVED, breaking=True, fields=[]) for item in gone]
    return found


def _item_fields(before: DataItem, after: DataItem) -> list[FieldDifference]:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return [
        FieldDifference(field=name, before=old[name], after=new[name], effect=_effect(name, old[name], new[name]))
        for name in old
        if old[name] != new[name]
    ]


def _effect(name: str, before: Any, after: Any) -> Effect:
    """Return what a changed field of an item does."""
    if name in _TYPE:
        return Effect.RETYPED
    if name == "sharing_type":
        return _sharing(before, after)
    if name == "required":
        return Effect.NARROWED if after else Effect.WIDENED
    if name == "enumeration":
        return _enumeration(before, after)
    if name in _A_RULE:
        # two patterns, code sets or references cannot be told apart by width: the careful answer is narrower
        return Effect.WIDENED if after is None else Effect.NARROWED
    if name in (*_LOWER_IS_NARROWER, *_HIGHER_IS_NARROWER):
        if before is None or after is None:
            return Effect.NARROWED if before is None else Effect.WIDENED
        return Effect.NARROWED if (after < before) is (name in _LOWER_IS_NARROWER) else Effect.WIDENED
    return Effect.CHANGED


def _enumeration(before: list[str] | None, after: list[str] | None) -> Effect:
    if after is None:
        return Effect.WIDENED
    if before is None or not set(before) <= set(after):
        return Effect.NARROWED
    return Effect.WIDENED if set(before) != set(after) else Effect.CHANGED
