"""What differs between two editions: the resources that came, went and changed, and in what."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from catalog_svc.resource import diff
from catalog_svc.resource.diff import Effect
from dxmesh_schemas.catalog import ResourceSnapshot

COLUMNS = {
    "change": "变化",
    "resource_code": "信息资源代码",
    "name": "信息资源名称",
    "provider_name": "信息资源提供方",
    "before_version": "原版本",
    "after_version": "新版本",
    "is_breaking": "破坏性变更",
    "fields": "变更的字段",
    "items_added": "新增信息项",
    "items_removed": "删除信息项",
    "items_changed": "变更信息项",
}


class Change(StrEnum):
    """What became of a resource."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Difference(BaseModel):
    """A resource of which two editions say different things; the lists name fields of the resource and codes of items."""

    change: Change
    resource_id: UUID
    resource_code: str
    name: str
    provider_name: str
    before_version: int | None
    after_version: int | None
    is_breaking: bool = False
    fields: list[str] = []
    items_added: list[str] = []
    items_removed: list[str] = []
    items_changed: list[str] = []

    def row(self) -> dict[str, Any]:
        """Return it as a line of a table."""
        return {name: "、".join(value) if isinstance(value, list) else value for name, value in self.model_dump(mode="json").items()}


def differences(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> Iterator[Difference]:
    """Yield what differs between the versions of two editions, each given by resource code; neither is held whole.

    A version never changes, so equal versions of a resource are not looked into.
    """
    older, newer = iter(before), iter(after)
    old, new = next(older, None), next(newer, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old["resource_code"] < new["resource_code"]):
            assert old is not None
            yield _one(old, Change.REMOVED)
            old = next(older, None)
        elif old is None or new["resource_code"] < old["resource_code"]:
            yield _one(new, Change.ADDED)
            new = next(newer, None)
        else:
            if old["version"] != new["version"]:
                yield _changed(old, new)
            old, new = next(older, None), next(newer, None)


def _one(snapshot: Mapping[str, Any], change: Change) -> Difference:
    return Difference(
        change=change,
        resource_id=snapshot["resource_id"],
        resource_code=snapshot["resource_code"],
        name=snapshot["name"],
        provider_name=snapshot["provider"]["name"],
        before_version=snapshot["version"] if change is Change.REMOVED else None,
        after_version=snapshot["version"] if change is Change.ADDED else None,
    )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    found = diff.of(ResourceSnapshot.model_validate(old), ResourceSnapshot.model_validate(new))
    items = {effect: [item.code for item in found.items if item.effect is effect] for effect in (Effect.ADDED, Effect.REMOVED)}
    return Difference(
        change=Change.CHANGED,
        resource_id=new["resource_id"],
        resource_code=new["resource_code"],
        name=new["name"],
        provider_name=new["provider"]["name"],
        before_version=old["version"],
        after_version=new["version"],
        is_breaking=found.breaking,
        fields=[field.field for field in found.fields],
        items_added=items[Effect.ADDED],
        items_removed=items[Effect.REMOVED],
        items_changed=[item.code for item in found.items if item.effect not in items],
    )
