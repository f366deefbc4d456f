"""Receipts and entries over HTTP."""

import json
from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel

from audit_svc.log.domain import leaf_hash
from audit_svc.log.errors import NoSuchEntry
from audit_svc.receipt import commands
from audit_svc.receipt.errors import NoSuchReceipt
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx
from dxmesh_runtime.problems import problems
from dxmesh_schemas.audit import Receipt

router = APIRouter(prefix="/v1", tags=["receipts"])


class EntryOut(BaseModel):
    """An entry of the log."""

    index: int
    event_id: UUID
    event_type: str
    topic: str
    logged_at: datetime
    attributes: dict[str, Any]  # the entry, parsed
    entry: str  # base64 of the leaf's bytes
    payload: str  # base64 of the event's bytes as they travelled
    leaf_hash: str  # base64


@router.get("/receipts/{event_id}", responses=problems(NoSuchReceipt))
async def get_receipt(event_id: UUID, who: Who, tx: Tx) -> Receipt:
    """Return the receipt of an event: keep the file, it verifies offline with the log's key."""
    return await commands.get_receipt(tx, event_id, who=who)


@router.get("/entries/{index}", responses=problems(NoSuchEntry))
async def get_entry(index: Annotated[int, Path(ge=0, lt=1 << 63)], who: Who, tx: Tx) -> EntryOut:
    """Return one entry with its payload."""
    found = await commands.get_entry(tx, index, who=who)
    return EntryOut(
        index=found.index,
        event_id=found.event_id,
        event_type=found.event_type,
        topic=found.topic,
        logged_at=found.logged_at,
        attributes=json.loads(found.entry),
        entry=b64encode(found.entry).decode(),
        payload=b64encode(found.payload).decode(),
        leaf_hash=b64encode(leaf_hash(found.entry)).decode(),
    )
