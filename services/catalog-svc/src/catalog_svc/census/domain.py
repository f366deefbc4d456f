"""What a census freezes, and what changed between two (普查: 系统清单, 数据清单, 需求清单 of a day)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

COUNTED = ("system_count", "resource_count", "item_count", "shareable_item_count")
"""What is counted for each department."""


class ListDigest:
    """The count and SHA-256 of a list's entries: one JSON object a line, members sorted by name, in the order given."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.entry_count = 0

    def add(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Add entries, in the list's order."""
        for entry in entries:
            self._hash.update(orjson.dumps(entry, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z) + b"\n")
        self.entry_count += len(entries)

    def frozen(self) -> dict[str, Any]:
        """Return what is kept of the list."""
        return {"entry_count": self.entry_count, "sha256": self._hash.hexdigest()}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changed between two censuses: each list's count and whether its entries are the same, and departments that differ.

    `before`, `after`: {"lists": {kind: {entry_count, sha256}}, "departments": [{organization_id, name, …counts}]}.
    """
    lists = [
        {
            "kind": kind,
            "before_count": old["entry_count"],
            "after_count": after["lists"][kind]["entry_count"],
            "difference": after["lists"][kind]["entry_count"] - old["entry_count"],
            "is_same": after["lists"][kind]["sha256"] == old["sha256"],
        }
        for kind, old in before["lists"].items()
    ]
    earlier = {one["organization_id"]: one for one in before["departments"]}
    later = {one["organization_id"]: one for one in after["departments"]}
    departments = []
    for organization_id in sorted(earlier.keys() | later.keys()):
        old, new = earlier.get(organization_id), later.get(organization_id)
        changes = {name: (new or {}).get(name, 0) - (old or {}).get(name, 0) for name in COUNTED}
        if any(changes.values()) or old is None or new is None:
            shown = new or old or {}
            departments.append({"organization_id": organization_id, "name": shown["name"], **changes})
    return {"lists": lists, "departments": departments}
