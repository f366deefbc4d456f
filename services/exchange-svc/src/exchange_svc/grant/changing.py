"""Other terms for a grant in force: what is left of what was asked for, compiled to another view where rows or values change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox, teller
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog import ResourceSnapshot, SharingType
from dxmesh_schemas.exchange_sharing import GrantTermsChanged
from dxmesh_schemas.exchange_terms import Backfill, Narrowing, Terms
from exchange_svc.catalog import store as catalog
from exchange_svc.catalog.errors import ResourceWithdrawn
from exchange_svc.clock.store import CHANNEL
from exchange_svc.grant import commands, domain, store
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.notice import commands as notices
from exchange_svc.package import store as packages
from exchange_svc.request import domain as requests
from exchange_svc.request import store as request_store


@dataclass(frozen=True, slots=True)
class Change:
    """What a provider leaves of what was asked for; each time of the whole request, not of what an earlier answer left.

    unmasked: for items of a high level that leave as they are, why. backfill: which earlier batches a view that opens for it gets.
    """

    reason: str
    approved_by: str
    items: Sequence[str] | None = None
    use_until: datetime | None = None
    terms: Narrowing = field(default_factory=Narrowing)
    unmasked: Mapping[str, str] = field(default_factory=dict)
    backfill: Backfill = commands.ALL


async def change_terms(
    tx: AsyncSession, grant_id: UUID, change: Change, *, by: Principal, public_url: str, now: datetime
) -> tuple[store.Grant, store.View]:
    """Change what a grant in force lets out, by its provider: never more than was asked for.

    Rows come by a new view from the next batch on if the items, the filter or a mask change; the former view closes with its last reader.
    What a narrower filter takes back is deleted for this grant's readers at the beginning of the new topic, which is theirs alone, and
    likewise on that of a coming version; packages made before end.
    Raises: GrantNotFound (404), GrantNotActive (409), ResourceWithdrawn (409), ItemsUnknown (422), NotShared (403), UseUntilPast,
    TermsInvalid (422).
    Emits: exchange.grant.terms_changed.v1; exchange.dispatch.ordered.v1 for each earlier batch when a view opens, and as
    `notices.follow`.
    Source: 政务数据共享条例 Art. 25, 27.
    """
    found, _ = await store.get(tx, grant_id)
    if by.own_organization != found.provider_id:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not change its terms")
    row = await catalog.get_resource(tx, found.resource_id, lock=True)
    await tx.refresh(found, with_for_update=True)
    domain.check_changeable(found.state_at(now))
    if row.withdrawn_at is not None:
        raise ResourceWithdrawn(f"resource {found.resource_id} was withdrawn; end the grant instead")
    resource = row.read()
    request = await request_store.get(tx, found.request_id)
    before = await store.get_view(tx, found.view_id)
    items, terms = _left(request, resource, before.open_view, change, now=now)
    view, opened = await _view(tx, found, before, resource, items, terms, public_url=public_url, now=now)
    found.view_id, found.terms = view.view_id, terms.model_dump(mode="json")
    found.use_until = change.use_until or request.use_until
    await tx.flush()
    await teller.wake(tx, CHANNEL)  # its end may have come nearer
    await commands.close_unused(tx, [found.resource_id], now=now)
    told = domain.snapshot(view.open_view, resource)
    assert told is not None, "the items are of the version in force, and the filter looks at these only"
    changed = GrantTermsChanged(
        **found.named,
        view=told,
        terms=terms,
        former_topic=before.topic,
        use_until=found.use_until,
        reason=change.reason,
        changed_by=change.approved_by,
        changed_at=now,
    )
    await outbox.add(tx, changed, now=now)
    if opened:
        open_view = domain.taking_back(view.open_view, before.open_view, terms, resource)
        await commands.backfill(tx, found.resource_id, [open_view], since=change.backfill, now=now)
    if view is not before:
        await packages.end_made(tx, found.grant_id, now=now)
        await notices.follow(tx, found, former=before, now=now)
    return found, view


def _left(
    request: request_store.SharingRequest, resource: ResourceSnapshot, before: domain.OpenView, change: Change, *, now: datetime
) -> tuple[Sequence[str], Terms]:
    """Return the items and terms that a change leaves of what was granted."""
    wanted = [code for code in request.items if resource.item(code) is not None] if change.items is None else change.items
    if beyond := [code for code in wanted if code not in request.items]:
        requests.refuse([("/items", f"{', '.join(beyond)}: not granted before; leave some of {', '.join(request.items)}")])
    items = requests.choose_items(resource, wanted)
    requests.check_use_until(change.use_until, now, asked=request.use_until)
    requests.check_use_until(change.use_until or request.use_until, now)
    terms = requests.narrowed(requests.asked_of(request.read_terms, items), change.terms)
    requests.check_terms(terms, items)
    if domain.takes_back(before, terms) and change.backfill != commands.ALL:
        requests.refuse([("/backfill", "a filter that takes rows back is told by earlier batches, all of them: leave backfill out")])
    requests.refuse([*requests.unmasked_faults(terms, items, change.unmasked)])
    return [item.code for item in items], terms


async def _view(
    tx: AsyncSession,
    grant: store.Grant,
    before: store.View,
    resource: ResourceSnapshot,
    items: Sequence[str],
    terms: Terms,
    *,
    public_url: str,
    now: datetime,
) -> tuple[store.View, bool]:
    """Return the view of the terms, and whether it was opened for them; the one there is where the same rows leave as clear."""
    if domain.lets_out_the_same(before.open_view, items, terms):
        return before, False
    sharing = SharingType(requests.sharing_of(resource, [item for item in resource.items if item.code in items]))
    if domain.takes_back(before.open_view, terms):
        sharing = SharingType.CONDITIONAL  # readers of a shared topic would be told of keys that they never had
    identity = domain.view_identity(items, terms, sharing, grant.grant_id)
    if before.identity == identity:  # a grant's own view has its name from the grant: it closes before another has the name
        before.closed_at = now
        await tx.flush()
        await commands.tell_closed(tx, [before], now=now)
    return await commands.join(tx, resource, items, terms, sharing, grant.grant_id, public_url=public_url, now=now)
