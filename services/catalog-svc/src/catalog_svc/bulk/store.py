"""What an import reads and writes with few statements: names, whose a line is, and a new resource with all that tells of it."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, FromClause, Table, bindparam, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.organization.domain import OWED
from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.organization.store import Organization
from catalog_svc.resource.domain import State
from catalog_svc.resource.store import Resource, ResourceCodeNumber, ResourceVersion
from catalog_svc.sharing_list.domain import KeptKind, Status
from catalog_svc.sharing_list.store import ListEntry
from catalog_svc.step.store import ResourceStep
from dxmesh_runtime.outbox import ENTRY, outbox
from dxmesh_schemas.catalog import OrganizationRef


async def find_organizations(tx: AsyncSession, named: str) -> Sequence[UUID]:
    """Return the organizations that have a text as their unified social credit code or as their name."""
    query = select(Organization.organization_id).where(or_(Organization.uscc == named, Organization.name == named))
    return (await tx.scalars(query)).all()


async def known_names(tx: AsyncSession, name_keys: Collection[str]) -> set[str]:
    """Return which of these names resources have, whosever they are."""
    query = select(Resource.name_key).where(Resource.name_key.in_(name_keys), Resource.state != State.WITHDRAWN.value)
    return set((await tx.scalars(query)).all())


def _beginning() -> Any:
    row = Organization
    provider = (
        select(row.organization_id, row.uscc, row.name, row.division_code, row.kind)
        .where(row.organization_id == bindparam("organization_id"))
        .with_for_update(key_share=True)
        .cte("provider")
    )
    first = select(bindparam("prefix", type_=ResourceCodeNumber.prefix.type), literal(1)).select_from(provider)
    number = insert(ResourceCodeNumber).from_select(["prefix", "last_number"], first)
    number = number.on_conflict_do_update(index_elements=["prefix"], set_={"last_number": ResourceCodeNumber.last_number + 1})
    given = number.returning(ResourceCodeNumber.last_number).cte("given")
    in_force = (ListEntry.kind == KeptKind.NEGATIVE.value) & (ListEntry.status == Status.IN_FORCE.value)
    forbidden = select(ListEntry.entry_id).where(in_force, ListEntry.organization_id == provider.c.organization_id).exists()
    both = provider.join(given, true())
    return select(provider, given.c.last_number, forbidden.label("has_negatives")).select_from(both)


_BEGIN = _beginning()


async def begin(tx: AsyncSession, organization_id: UUID, prefix: str) -> tuple[OrganizationRef, int, bool, bool]:
    """Lock a provider; return it, the next number under a prefix of codes, and whether it has a negative list and owes a paper.

    The prefix is locked until the transaction ends, so no number is lost. Raises: OrganizationNotFound (404).
    """
    found = (await (await tx.connection()).execute(_BEGIN, {"organization_id": organization_id, "prefix": prefix})).one_or_none()
    if found is None:
        raise OrganizationNotFound(f"no organization has the id {organization_id}")
    provider = OrganizationRef(organization_id=organization_id, uscc=found.uscc, name=found.name, division_code=found.division_code)
    return provider, found.last_number, found.has_negatives, found.kind in OWED


def _names(table: FromClause) -> list[str]:
    return [column.name for column in table.columns]


def _arrays(table: Table, prefix: str, names: Collection[str]) -> FromClause:
    """Return rows that are given as an array a column, in their order."""
    columns = [bindparam(prefix + name, type_=ARRAY(table.c[name].type)) for name in names]
    return func.unnest(*columns).table_valued(*names, with_ordinality="place", name=f"{prefix}rows").render_derived()


def _entering() -> Insert:
    resource, step, version = Resource.__table__, ResourceStep.__table__, ResourceVersion.__table__
    assert isinstance(resource, Table)
    assert isinstance(step, Table)
    assert isinstance(version, Table)
    entry = insert(resource).values({name: bindparam(f"resource_{name}", type_=resource.c[name].type) for name in _names(resource)})
    steps = _arrays(step, "step_", _names(step))
    gone = insert(step).from_select(_names(step), select(*(steps.c[name] for name in _names(step))))
    shown = select(*(bindparam(f"version_{name}", type_=version.c[name].type) for name in _names(version)))
    shown = shown.where(bindparam("is_published", type_=Boolean))
    told = _arrays(outbox, "event_", ENTRY)
    written = insert(outbox).from_select(ENTRY, select(*(told.c[name] for name in ENTRY)).order_by(told.c.place))
    return written.add_cte(entry.cte("entry"), gone.cte("gone"), insert(version).from_select(_names(version), shown).cte("shown"))


_ENTER = _entering()


async def enter(
    tx: AsyncSession, row: Resource, steps: Sequence[ResourceStep], version: ResourceVersion | None, events: Sequence[dict[str, Any]]
) -> None:
    """Insert a resource with its steps, the version in force if there is one, and its events, with one statement."""
    values: dict[str, Any] = {f"resource_{name}": getattr(row, name) for name in _names(Resource.__table__)}
    values |= {f"step_{name}": [getattr(step, name) for step in steps] for name in _names(ResourceStep.__table__)}
    values |= {f"version_{name}": getattr(version, name, None) for name in _names(ResourceVersion.__table__)}
    values |= {f"event_{name}": [event[name] for event in events] for name in ENTRY}
    await (await tx.connection()).execute(_ENTER, values | {"is_published": version is not None})
