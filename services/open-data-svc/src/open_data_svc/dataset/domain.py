"""What may be opened, what a dataset is called, and when it gets a new version."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import UUID, uuid5

from dxmesh_schemas.catalog import DataItem, DataType, OpenType, ResourceSnapshot
from open_data_svc.negative.domain import Ban

NAME_MAX_CHARS = 100
"""Longest name of a dataset, and the alphabet a-z 0-9 - _ (CKAN package name)."""
PUBLIC_LEVEL = 1
"""Only items of the lowest data level are opened; anything above needs anonymising first."""
_NAME = re.compile(r"[a-z0-9_-]{2,100}")
_NAMESPACE = UUID("6f9b1c1e-5a0d-5d59-9a31-0e2a8c4f7d10")


class State(StrEnum):
    """Whether the public may have a dataset."""

    OPEN = "open"
    RETIRED = "retired"


API = "api"
"""The query interface, as a way to get a dataset beside the forms."""


class Format(StrEnum):
    """The forms each version is kept in; the value is the file's ending."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """Return the media type files of this form are sent as."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.JSON: "application/json",
    Format.PARQUET: "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """What of a resource is open to the public without conditions; no items means nothing is, for `closed_reason`."""

    items: tuple[DataItem, ...]
    closed_reason: str = ""


def opening(resource: ResourceSnapshot, *, withdrawn_reason: str | None = None, bans: Sequence[Ban] = ()) -> Opening:
    """Decide what of a resource is open: the resource itself and, item by item, the items of the lowest data level.

    What its department's negative list closes is not open, whatever the resource says of itself.
    Source: 公共数据开放 无条件开放, 负面清单; sharing and open attributes exist at item level (编制指南 发改高技〔2017〕1272号).
    """
    if withdrawn_reason is not None:
        return Opening((), withdrawn_reason)
    if resource.open_type is not OpenType.UNCONDITIONAL:
        return Opening((), f"不再向社会无条件开放 open to the public without conditions no longer (open_type {resource.open_type.value})")
    if (whole := next((ban for ban in bans if not ban.items), None)) is not None:
        return Opening((), whole.reason)
    items = tuple(item for item in resource.items if item.open_type is OpenType.UNCONDITIONAL and item.data_level <= PUBLIC_LEVEL)
    if not items:
        return Opening((), "没有可开放的数据项 no item is open to the public")
    left = tuple(item for item in items if not any(item.code in ban.items for ban in bans))
    return Opening(left) if left else Opening((), "; ".join(ban.reason for ban in bans))


def sort_key(resource: ResourceSnapshot, items: Collection[DataItem]) -> tuple[str, ...]:
    """Return the items a dataset is ordered by: the business key, or every open item when the key is not wholly open.

    Ordering by a closed item would let a reader learn about it. Without a key nothing orders the rows but how they were sent.
    """
    codes = tuple(item.code for item in items)
    return resource.key if set(resource.key) <= set(codes) else codes


def is_name(text: str) -> bool:
    """Say whether a text could be a dataset's name."""
    return _NAME.fullmatch(text) is not None


def base_name(resource_code: str, name: str) -> str:
    """Return a name by CKAN's rules (a-z 0-9 - _, at most 91 characters so that a suffix fits), or "" when nothing is left."""
    for text in (resource_code, name):
        slug = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9_-]+", "-", text.lower())).strip("-_")
        if len(slug) >= 2:
            return slug[: NAME_MAX_CHARS - 9].rstrip("-_")
    return ""


def dataset_name(resource_id: UUID, resource_code: str, name: str, *, taken: Collection[str] = ()) -> str:
    """Return a dataset's name, made distinct by the resource's id where another dataset has it already."""
    base = base_name(resource_code, name)
    if base and base not in taken:
        return base
    tail = resource_id.hex[-8:]
    return f"{base}-{tail}" if base else f"dataset-{tail}"


def dataset_id(resource_id: UUID) -> UUID:
    """Return the id of a resource's dataset: the same however often events are replayed."""
    return uuid5(_NAMESPACE, f"dataset/{resource_id}")


def distribution_id(dataset: UUID, way: str) -> UUID:
    """Return the id of one way to get a dataset: a form, or `api` (DCAT distribution; CKAN calls it a resource)."""
    return uuid5(_NAMESPACE, f"distribution/{dataset}/{way}")


@dataclass(frozen=True, slots=True)
class Made:
    """What the newest version of a dataset was made from."""

    table_version: int
    items: tuple[str, ...]


def needs_version(latest: Made | None, *, table_version: int, items: tuple[str, ...]) -> bool:
    """Say whether a new version is due: the table advanced, or other items are open than before."""
    return latest is None or latest.table_version < table_version or latest.items != items


def is_withheld(version_items: Collection[str], open_items: Collection[str]) -> bool:
    """Say whether an earlier version shows an item that is open no longer."""
    return not set(version_items) <= set(open_items)


TYPE_WORDS: dict[DataType, tuple[str, str]] = {
    DataType.TEXT: ("文本", "text"),
    DataType.LONG_TEXT: ("长文本", "long text"),
    DataType.GENERIC: ("通用", "generic"),
    DataType.INTEGER: ("整数", "integer"),
    DataType.NUMBER: ("数值", "number"),
    DataType.MONEY: ("金额", "money"),
    DataType.DOUBLE: ("浮点数", "double"),
    DataType.FLOAT: ("浮点数", "float"),
    DataType.DATE: ("日期", "date"),
    DataType.DATETIME: ("日期时间", "date and time"),
    DataType.LOGICAL: ("是否", "yes or no"),
}
"""An item type in words, Chinese and English."""


Order = Literal["newest", "oldest", "name", "name_desc", "title", "title_desc", "rows", "created", "created_desc"]

FIELDS = ("organization", "tags", "res_format", "groups", "license_id", "name", "id", "title", "owner_org", "notes", "state", "type")
"""Fields that can be searched by value (CKAN's names)."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: every word occurs somewhere in the description, and each field has one of its values."""

    words: Sequence[str] = ()
    fields: Sequence[tuple[str, Sequence[str], bool]] = ()  # (field, any of these, wanted or excluded)
    order: Order = "newest"
    offset: int = 0
    limit: int = 20
