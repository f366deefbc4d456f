"""What an organization does with code sets of its own before they are in force."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.code_draft import store
from catalog_svc.code_draft.errors import CodeDraftsFull
from catalog_svc.code_set import commands as code_sets
from catalog_svc.code_set import store as published
from catalog_svc.code_set.commands import Pointer
from catalog_svc.code_set.domain import About
from catalog_svc.code_set.entry import Entry
from catalog_svc.etag import EntryPassed, Tags, refuse_passed
from catalog_svc.organization import store as organizations
from dxmesh_runtime.auth import Principal

MAX_DRAFTS = 100
"""Drafts an organization keeps at a time; each may be some megabytes."""


async def draft(
    tx: AsyncSession,
    name: str,
    *,
    about: About,
    entries: Sequence[Entry],
    pointer: Pointer,
    by: Principal,
    now: datetime,
    if_match: Tags = None,
) -> tuple[store.CodeSetDraft, bool]:
    """Write the draft of an organization's own code set; return it and whether it is new. It keeps every rule of a version already.

    Raises: CodeSetForeign (403), CodeSetIsRetired (409), EntryPassed (412), CodeDraftsFull (409), CodeSetInvalid (422).
    """
    owner = await organizations.get(tx, by.own_organization, lock=True)
    code_sets.refuse_foreign(name, owner)
    code_sets.refuse_retired(await published.find(tx, name))
    row = await store.find(tx, name, lock=True)
    if row is not None:
        refuse_passed(if_match, row.drafted_at)
    elif if_match is not None:
        raise EntryPassed("the draft was published or discarded; leave out If-Match to begin one anew")
    elif await store.count(tx, owner.organization_id) >= MAX_DRAFTS:
        raise CodeDraftsFull(f"your organization has {MAX_DRAFTS} drafts of code sets; publish or discard one first")
    settled = await code_sets.checked(tx, name, about=about, entries=entries, pointer=pointer, now=now)
    is_new = row is None
    row = row or store.CodeSetDraft(name=name, organization_id=owner.organization_id)
    row.say(about, settled, by=by.subject, now=now)
    tx.add(row)
    await tx.flush()
    return row, is_new


async def publish(
    tx: AsyncSession, name: str, *, by: Principal, now: datetime, if_match: Tags = None
) -> tuple[published.CodeSetVersion, bool]:
    """Put a draft in force as the next version; return it and whether it is new. The draft is gone then.

    Raises: CodeDraftNotFound (404), CodeSetForeign (403), CodeSetIsRetired (409), EntryPassed (412), CodeSetInvalid (422), also for
    what the calendar or the parent set made wrong since.
    Emits: catalog.code_set.published.v1, when the version is new.
    """
    owner = await organizations.get(tx, by.own_organization, lock=True)
    row = await store.get(tx, name, seen_by=owner.organization_id, lock=True)
    refuse_passed(if_match, row.drafted_at)
    found = await code_sets.publish(
        tx,
        name,
        about=row.about,
        entries=row.said,
        pointer=lambda index, field: f"/entries/{index}/{field}",
        by=by.subject,
        now=now,
        owner=owner,
    )
    await tx.delete(row)
    return found


async def discard(tx: AsyncSession, name: str, *, by: Principal, if_match: Tags = None) -> None:
    """Delete a draft; what is in force stays. Raises: CodeDraftNotFound (404), EntryPassed (412)."""
    await organizations.get(tx, by.own_organization, lock=True)
    row = await store.get(tx, name, seen_by=by.own_organization, lock=True)
    refuse_passed(if_match, row.drafted_at)
    await tx.delete(row)
