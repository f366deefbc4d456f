"""Who an event concerns, and the form of a receipt; no input or output."""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from dxmesh_schemas.audit import Receipt


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


_ORGANIZATIONS = (
    ("organization_id",),
    ("provider", "organization_id"),
    ("requester", "organization_id"),
    ("resource", "provider", "organization_id"),
)


def concerned(payload: bytes) -> tuple[set[UUID], UUID | None]:
    """Return the organizations that a payload names, and the batch it speaks of; nothing for a payload that is not a JSON object."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return set(), None
    organizations = {organization for path in _ORGANIZATIONS if (organization := _uuid(_at(found, *path))) is not None}
    return organizations, _uuid(_at(found, "batch_id"))


def receipt(*, entry: bytes, payload: bytes, index: int, tree_size: int, proof: Sequence[bytes], checkpoint: str) -> Receipt:
    """Return a receipt in its wire form."""
    return Receipt(
        entry=b64encode(entry).decode(),
        payload=b64encode(payload).decode(),
        index=index,
        tree_size=tree_size,
        proof=tuple(b64encode(step).decode() for step in proof),
        checkpoint=checkpoint,
    )
