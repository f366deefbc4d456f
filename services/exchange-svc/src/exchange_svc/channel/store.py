"""Which topics a caller may read, and by which version."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.catalog.store import Resource
from exchange_svc.channel.domain import Channel
from exchange_svc.grant import store as grants
from exchange_svc.grant.domain import snapshot
from exchange_svc.grant.store import Grant, View
from exchange_svc.notice import store as notices


async def list_channels(tx: AsyncSession, *, organization_id: UUID | None, now: datetime) -> Sequence[Channel]:
    """Return the topics an organization's grants let it read now (all that anybody may read when None), with those that are coming."""
    is_readable = exists().where(Grant.view_id == View.view_id, grants.is_read_by(Mode.TOPIC, now))
    if organization_id is not None:
        is_readable = is_readable.where(Grant.requester_id == organization_id)
    query = select(View, Resource).join(Resource, Resource.resource_id == View.resource_id).where(is_readable)
    rows = (await tx.execute(query.order_by(View.opened_at, View.view_id))).all()
    versions = await notices.versions_of(tx, {view.view_id for view, _ in rows})
    found = []
    for view, resource in rows:
        found.append(_channel(view, resource, effective_at=None))
        coming = versions[view.view_id].coming
        if coming is not None and coming.view is not None:
            found.append(_channel(coming.view, resource, effective_at=coming.effective_at))
    unique = {one.view.view_id: one for one in found if one is not None}
    return list(unique.values())


def _channel(view: View, resource: Resource, *, effective_at: datetime | None) -> Channel | None:
    form, in_force = view.open_view.form, resource.read()
    told = form if form is not None and form.version > in_force.version else in_force
    shown = snapshot(view.open_view, told)
    return None if shown is None else Channel(shown, told, effective_at)
