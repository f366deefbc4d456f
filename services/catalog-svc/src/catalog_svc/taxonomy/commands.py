"""What changes taxonomies."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.etag import Tags, refuse_passed
from catalog_svc.lineage import store as lineage
from catalog_svc.organization import store as organizations
from catalog_svc.resource import store as resources
from catalog_svc.taxonomy import domain, store
from catalog_svc.taxonomy.domain import TaxonomyKind
from catalog_svc.taxonomy.errors import TaxonomyCodeTaken, TaxonomyInvalid, TaxonomyNameTaken, TaxonomyRetired, TaxonomyUsed
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.problem import Fault
from dxmesh_schemas.text import comparable

_NAMED_AT_MOST = 10


async def add(
    tx: AsyncSession,
    *,
    code: str,
    name: str,
    kind: TaxonomyKind,
    description: str | None,
    lead_organization_id: UUID | None,
    parent_id: UUID | None,
    now: datetime,
) -> store.Taxonomy:
    """Enter a base database, domain warehouse or theme database.

    Raises: TaxonomyCodeTaken (409), also by a retired entry, TaxonomyNameTaken (409), TaxonomyInvalid (422).
    """
    await store.lock_all(tx)
    known = await store.find_by_code(tx, domain.code_key(code))
    if known is not None:
        what = "was the code of" if known.retired_at is not None else "is the code of"
        raise TaxonomyCodeTaken(
            f"{known.code} {what} {known.name}; a code is given once, choose another", taxonomy_id=str(known.taxonomy_id)
        )
    await _refuse_named(tx, kind, name, other_than=None)
    faults = await _lead_faults(tx, lead_organization_id)
    if parent_id is not None:
        faults += domain.parent_faults(None, kind, await store.above(tx, parent_id))
    _refuse(faults)
    row = store.Taxonomy(
        taxonomy_id=uuid7(),
        code=code,
        code_key=domain.code_key(code),
        name=name,
        name_key=comparable(name),
        kind=kind.value,
        description=description or None,
        lead_organization_id=lead_organization_id,
        parent_id=parent_id,
        created_at=now,
        changed_at=now,
        retired_at=None,
        retired_by=None,
        retirement_reason=None,
    )
    tx.add(row)
    await tx.flush()
    return row


async def change(
    tx: AsyncSession,
    taxonomy_id: UUID,
    *,
    name: str,
    description: str | None,
    lead_organization_id: UUID | None,
    parent_id: UUID | None,
    now: datetime,
    if_match: Tags = None,
) -> store.Taxonomy:
    """Change an entry; its code and kind are its identity and stay.

    Raises: TaxonomyNotFound (404), EntryPassed (412), TaxonomyRetired (409), TaxonomyNameTaken (409), TaxonomyInvalid (422), also for
    a loop.
    """
    await store.lock_all(tx)
    row = await store.get(tx, taxonomy_id, lock=True)
    refuse_passed(if_match, row.changed_at)
    _refuse_retired(row)
    wanted = (name, description or None, lead_organization_id, parent_id)
    if (row.name, row.description, row.lead_organization_id, row.parent_id) == wanted:
        return row
    kind = TaxonomyKind(row.kind)
    await _refuse_named(tx, kind, name, other_than=taxonomy_id)
    faults = await _lead_faults(tx, lead_organization_id)
    if parent_id is not None and parent_id != row.parent_id:
        above = await store.above(tx, parent_id)
        faults += domain.parent_faults(taxonomy_id, kind, above, depth_below=await store.depth_below(tx, taxonomy_id))
    _refuse(faults)
    row.name, row.description, row.lead_organization_id, row.parent_id = wanted
    row.name_key, row.changed_at = comparable(name), now
    return row


async def retire(
    tx: AsyncSession, taxonomy_id: UUID, *, reason: str, by: Principal, now: datetime, if_match: Tags = None
) -> store.Taxonomy:
    """Take an entry out of use; it keeps its members and what came from it, its code is never given again.

    Raises: TaxonomyNotFound (404), EntryPassed (412), TaxonomyRetired (409), TaxonomyUsed (409) while entries stand under it.
    """
    await store.lock_all(tx)
    row = await store.get(tx, taxonomy_id, lock=True)
    refuse_passed(if_match, row.changed_at)
    _refuse_retired(row)
    children = await store.children(tx, taxonomy_id, retired_too=False)
    if children:
        raise _used(children, "entries in use stand under it", "move or retire those first")
    row.retired_at, row.retired_by, row.retirement_reason, row.changed_at = now, by.subject, reason, now
    return row


async def delete(tx: AsyncSession, taxonomy_id: UUID, *, if_match: Tags = None) -> None:
    """Delete an entry that nothing ever used.

    Raises: TaxonomyNotFound (404), EntryPassed (412), TaxonomyUsed (409) with the remedy to retire it.
    """
    await store.lock_all(tx)
    row = await store.get(tx, taxonomy_id, lock=True)
    refuse_passed(if_match, row.changed_at)
    remedy = f"retire it instead (POST /v1/taxonomies/{taxonomy_id}/retirement)"
    children = await store.children(tx, taxonomy_id, retired_too=True)
    if children:
        raise _used(children, "entries stand under it", remedy)
    derived = await lineage.derived_from(tx, taxonomy_id)
    if derived:
        named = [{"resource_id": str(resource_id)} for resource_id in derived[:_NAMED_AT_MOST]]
        raise TaxonomyUsed(f"{len(derived)} resources are derived from it; {remedy}", used_by=named)
    members = await resources.ever_in(tx, row.code)
    if members:
        named = [{"resource_id": str(resource_id)} for resource_id in members[:_NAMED_AT_MOST]]
        raise TaxonomyUsed(f"{len(members)} resources belong or belonged to it; {remedy}", used_by=named)
    await tx.delete(row)


def _used(children: Sequence[store.Taxonomy], what: str, remedy: str) -> TaxonomyUsed:
    named = [{"taxonomy_id": str(child.taxonomy_id), "code": child.code, "name": child.name} for child in children[:_NAMED_AT_MOST]]
    return TaxonomyUsed(f"{len(children)} {what}: {', '.join(child['code'] for child in named)}; {remedy}", used_by=named)


def _refuse_retired(row: store.Taxonomy) -> None:
    if row.retired_at is not None:
        raise TaxonomyRetired(f"{row.code} is retired and stays as it was; enter a new one instead")


async def _refuse_named(tx: AsyncSession, kind: TaxonomyKind, name: str, *, other_than: UUID | None) -> None:
    known = await store.find_by_name(tx, kind, comparable(name))
    if known is not None and known.taxonomy_id != other_than:
        detail = f"{known.code} of kind {kind} is called {known.name!r}; choose another name or change that one"
        raise TaxonomyNameTaken.at("/name", detail, taxonomy_id=str(known.taxonomy_id))


async def _lead_faults(tx: AsyncSession, organization_id: UUID | None) -> list[Fault]:
    if organization_id is None or await organizations.find(tx, organization_id) is not None:
        return []
    return [("/lead_organization_id", f"no organization has the id {organization_id}; register it first, or leave the lead open")]


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise TaxonomyInvalid.of(faults)
