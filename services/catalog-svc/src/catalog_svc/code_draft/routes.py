"""Drafts of code sets over HTTP: an organization's stewards write, publish and discard them."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict

from catalog_svc import etag
from catalog_svc.code_draft import commands, store
from catalog_svc.code_draft.errors import CodeDraftNotFound, CodeDraftsFull
from catalog_svc.code_set.entry import CodeSetKind
from catalog_svc.code_set.errors import CodeSetForeign, CodeSetInvalid, CodeSetIsRetired
from catalog_svc.code_set.shapes import CodeSetIn, CodeSetName, CodeSetOut, EntryOut
from catalog_svc.code_set.store import CodeSetVersion
from catalog_svc.etag import EntryPassed, IfMatch
from catalog_svc.media import BODY_PROBLEMS, json_body
from dxmesh_runtime.auth import Principal, Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_text, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden

router = APIRouter(prefix="/v1", tags=["code sets"], dependencies=[Depends(json_body)])


class CodeDraftHead(BaseModel):
    """A draft of a code set, without its entries."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    organization_id: UUID
    title: str
    kind: CodeSetKind
    standard: str | None
    parent_set: str | None
    leading_source: str | None
    entry_count: int
    drafted_at: datetime
    drafted_by: str


class DraftEntryOut(EntryOut):
    """What a draft says of a code."""

    code: str


class CodeDraftOut(CodeDraftHead):
    """A draft of a code set."""

    entries: list[DraftEntryOut]


@router.put(
    "/code-sets/{name}/draft",
    response_model=CodeDraftHead,
    responses={
        201: {"model": CodeDraftHead, "description": "The draft is begun"},
        **problems(*BODY_PROBLEMS, CodeSetForeign, CodeSetIsRetired, CodeDraftsFull, EntryPassed, CodeSetInvalid, Forbidden),
    },
)
async def draft(name: CodeSetName, body: CodeSetIn, who: Steward, tx: Tx, response: Response, if_match: IfMatch) -> store.CodeSetDraft:
    """Write the draft of a code set of one's own organization; its name begins with the organization's uscc in small letters and a dot."""
    row, is_new = await commands.draft(
        tx, name, about=body.about(), entries=body.said(), pointer=body.pointer, by=who, now=utc_now(), if_match=if_match
    )
    response.status_code = 201 if is_new else 200
    etag.show(response, row.drafted_at)
    return row


@router.get("/code-sets/{name}/draft", response_model=CodeDraftOut, responses=problems(CodeDraftNotFound))
async def get_draft(name: CodeSetName, who: Who, tx: Tx, response: Response) -> store.CodeSetDraft:
    """Return the draft of a code set (its organization, the data authority)."""
    row = await store.get(tx, name, seen_by=_sees(who))
    etag.show(response, row.drafted_at)
    return row


@router.get("/code-set-drafts", response_model=Page[CodeDraftHead], responses=problems(CursorInvalid, Forbidden))
async def list_drafts(who: Who, tx: Tx, limit: Limit = 50, cursor: CursorText = None) -> Slice[store.CodeSetDraft]:
    """List the drafts of one's own organization, or all of them (the data authority), by name."""
    return cut(await store.list_page(tx, seen_by=_sees(who), after=after_text(cursor), limit=limit), limit, lambda row: row.name)


@router.post(
    "/code-sets/{name}/draft/publication",
    response_model=CodeSetOut,
    responses={
        201: {"model": CodeSetOut, "description": "A new version is in force"},
        **problems(CodeDraftNotFound, CodeSetIsRetired, EntryPassed, CodeSetInvalid, Forbidden),
    },
)
async def publish(name: CodeSetName, who: Steward, tx: Tx, response: Response, if_match: IfMatch) -> CodeSetVersion:
    """Put a draft in force: a new version when it differs (201), else the one there is (200)."""
    version, is_new = await commands.publish(tx, name, by=who, now=utc_now(), if_match=if_match)
    response.status_code = 201 if is_new else 200
    return version


@router.delete("/code-sets/{name}/draft", status_code=204, responses=problems(CodeDraftNotFound, EntryPassed, Forbidden))
async def discard(name: CodeSetName, who: Steward, tx: Tx, if_match: IfMatch) -> None:
    """Discard a draft; what is in force stays."""
    await commands.discard(tx, name, by=who, if_match=if_match)


def _sees(who: Principal) -> UUID | None:
    """Return the organization whose drafts the caller sees, None for all."""
    return None if who.has("authority") else who.own_organization
