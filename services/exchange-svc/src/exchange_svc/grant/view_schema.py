"""The schema of a view's rows, found by the view and a version of its resource."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_schemas.catalog import ResourceSnapshot
from exchange_svc.catalog import store as catalog
from exchange_svc.enforcement.schema import of_view
from exchange_svc.grant import domain, store
from exchange_svc.grant.errors import ViewNotFound


async def of_version(tx: AsyncSession, view_id: UUID, version: int | None) -> dict[str, Any]:
    """Return the JSON Schema of a view's rows under a version of its resource, the one in force when None. Raises: ViewNotFound (404)."""
    view = await store.find_view(tx, view_id)
    if view is None:
        raise ViewNotFound(f"view {view_id} does not exist")
    form = view.open_view.form
    if form is not None and version in (None, form.version):
        told: ResourceSnapshot | None = form
    else:
        wanted = version or (await catalog.get_resource(tx, view.resource_id)).version
        told = (await catalog.list_versions(tx, [(view.resource_id, wanted)])).get((view.resource_id, wanted))
    shown = None if told is None else domain.snapshot(view.open_view, told)
    if told is None or shown is None:
        raise ViewNotFound(f"nothing leaves by view {view_id} under version {version}: take the version that a row's `schema` names")
    return of_view(shown, told)
