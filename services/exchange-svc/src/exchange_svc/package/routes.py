"""HTTP of packages: ask for one, list them with their links, fetch one."""

import base64
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import iterate_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, Limit
from dxmesh_runtime.problems import problems
from exchange_svc import sealed_cursor
from exchange_svc.grant.errors import GrantIsSuspended, GrantNotFound, GrantOver, ModeNotGranted
from exchange_svc.grant.outgoing import while_readable
from exchange_svc.package import commands, domain, store
from exchange_svc.package.errors import PackageGone, PackageNotFound, PackageWaiting
from exchange_svc.subscription import commands as subscriptions
from exchange_svc.subscription.errors import SubscriptionNotFound, SubscriptionState

router = APIRouter(prefix="/v1", tags=["packages"])
_SCOPE = "package"
_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "The package", "content": {"application/zip": {}}}}
_OF = "/grants/{grant_id}/subscriptions/{subscription_id}/packages"


class PackageOut(BaseModel):
    """A package of what a grant read; link: where its requester fetches it."""

    package_id: UUID
    state: domain.State
    failure: str | None = Field(description="why it is not made yet; it is tried again")
    link: str | None
    sha256: str | None
    byte_count: int | None
    row_count: int | None
    table_version: int | None
    downloads_left: int
    asked_at: datetime
    made_at: datetime | None
    expires_at: datetime | None


def _out(row: store.Package, key: bytes, *, is_own: bool) -> PackageOut:
    link = f"/v1/packages/{sealed_cursor.seal(key, _SCOPE, str(row.package_id))}" if is_own else None
    return PackageOut(**{name: getattr(row, name) for name in PackageOut.model_fields if name != "link"}, link=link)


@router.post(
    _OF,
    status_code=202,
    responses=problems(GrantNotFound, SubscriptionNotFound, GrantOver, GrantIsSuspended, SubscriptionState, PackageWaiting),
)
async def ask(grant_id: UUID, subscription_id: UUID, who: Steward, tx: Tx, request: Request) -> PackageOut:
    """Have a package made of what the grant reads now; its link answers 409 until it is."""
    row = await commands.ask(tx, grant_id, subscription_id, by=who, now=utc_now())
    return _out(row, request.state.cursor_key, is_own=True)


@router.get(_OF, responses=problems(GrantNotFound, SubscriptionNotFound))
async def list_packages(grant_id: UUID, subscription_id: UUID, who: Who, tx: Tx, request: Request, limit: Limit = 100) -> list[PackageOut]:
    """List a subscription's packages, newest first; the links are shown to the requester alone."""
    _, grant = await subscriptions.get_visible_one(tx, grant_id, subscription_id, who)
    is_own = who.organization_id == grant.requester_id
    return [_out(row, request.state.cursor_key, is_own=is_own) for row in await store.list_of(tx, subscription_id, limit=limit)]


@router.get(
    "/packages/{token}",
    response_class=StreamingResponse,
    responses=_FILE | problems(PackageNotFound, GrantOver, GrantIsSuspended, ModeNotGranted, PackageWaiting, PackageGone),
)
async def fetch(token: Annotated[str, Path(max_length=200)], who: Who, request: Request) -> StreamingResponse:
    """Fetch a package, as a member of the organization it was made for; each download is counted, and its receipt kept."""
    try:
        package_id = UUID(sealed_cursor.unseal(request.state.cursor_key, _SCOPE, token)[0])
    except CursorInvalid as forged:
        raise PackageNotFound("there is no such package, or you may not fetch it") from forged
    address = request.client.host if request.client else None
    async with request.state.sessions.begin() as tx:
        row = await commands.give_out(tx, package_id, by=who, address=address, now=utc_now())
    assert row.object_key is not None, "a package that can be fetched lies in the store"
    assert row.sha256 is not None, "and its digest is known"
    digest = base64.b64encode(bytes.fromhex(row.sha256)).decode()
    headers: dict[str, Any] = {
        "Content-Length": str(row.byte_count),
        "Content-Disposition": f'attachment; filename="{quote(str(row.package_id))}.zip"',
        "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    pieces = iterate_in_threadpool(request.state.objects.stream(row.object_key))
    return StreamingResponse(while_readable(pieces, request.state.sessions, row.grant_id), media_type="application/zip", headers=headers)
