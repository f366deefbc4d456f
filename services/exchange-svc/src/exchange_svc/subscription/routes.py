"""HTTP of subscriptions: open, see, pause, resume, replay, end; a webhook's secret and messages."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now, uuid7
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.exchange_terms import Mode
from dxmesh_schemas.text import Reason
from exchange_svc.catalog import store as catalog
from exchange_svc.destinations import DestinationRefused, DestinationUnknown
from exchange_svc.grant import domain as grants
from exchange_svc.grant import store as grant_store
from exchange_svc.grant.commands import get_visible
from exchange_svc.grant.errors import GrantIsSuspended, GrantNotFound, GrantOver, ModeNotGranted
from exchange_svc.grant.store import Grant
from exchange_svc.sink.errors import DatabaseAway, TableUnfit
from exchange_svc.subscription import commands, domain, store
from exchange_svc.subscription.errors import SubscriptionInvalid, SubscriptionNotFound, SubscriptionState, SubscriptionsTooMany
from exchange_svc.subscription.opening import FileIn, Opening, TableIn, WebhookIn
from exchange_svc.webhook import commands as webhooks
from exchange_svc.webhook import store as messages
from exchange_svc.webhook.errors import EndpointUnproven

router = APIRouter(prefix="/v1/grants/{grant_id}/subscriptions", tags=["subscriptions"])
_MISSING = (GrantNotFound, SubscriptionNotFound)
_REFUSED = (SubscriptionInvalid, DestinationRefused, DestinationUnknown, EndpointUnproven, DatabaseAway, TableUnfit)
OpeningIn = Annotated[WebhookIn | TableIn | FileIn, Body(discriminator="mode")]


class PlaceOut(BaseModel):
    """How far it is: the offset of the next record of each partition."""

    topic: str
    offsets: dict[int, int]


class SubscriptionOut(BaseModel):
    """A grant's way of delivery, without anything secret."""

    subscription_id: UUID
    grant_id: UUID
    mode: Mode
    state: domain.State
    reason: str | None = Field(description="why it is paused, dead or ended")
    held_by: str | None = Field(description="why nothing comes although it is active: the grant's state or ways")
    settings: dict[str, Any]
    place: PlaceOut
    row_count: int = Field(description="rows delivered so far, repeats counted")
    delivered_at: datetime | None
    failing_since: datetime | None
    failure: str | None = Field(description="what went wrong last, while it fails")
    failure_count: int
    next_attempt_at: datetime | None
    created_at: datetime
    changed_at: datetime


class SubscriptionMade(SubscriptionOut):
    """A new subscription; a webhook's secret is shown here and never again."""

    secret: str | None


class SecretOut(BaseModel):
    """A webhook's new secret, shown here and never again; the former one signs beside it until then."""

    secret: str
    former_until: datetime


class ReasonIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class ReplayIn(BaseModel):
    """From where rows come again: offsets, a time, a batch and all after it; from the beginning when nothing is named."""

    model_config = ConfigDict(extra="forbid")
    offsets: dict[Annotated[int, Field(ge=0, le=2**31 - 1)], Annotated[int, Field(ge=0, le=2**63 - 1)]] | None = None
    since: AwareDatetime | None = None
    batch_id: UUID | None = None

    @model_validator(mode="after")
    def _one(self) -> "ReplayIn":
        if sum(one is not None for one in (self.offsets, self.since, self.batch_id)) > 1:
            raise ValueError("names more than one of offsets, since and batch_id: name one")
        return self


class AttemptOut(BaseModel):
    """One try to post a message."""

    number: int
    attempted_at: datetime
    status: int | None
    failure: str | None
    elapsed_ms: int


class MessageOut(BaseModel):
    """One message of a webhook; ranges: [partition, first offset, offset behind the last] of its rows."""

    message_id: UUID
    webhook_id: str
    topic: str
    ranges: list[tuple[int, int, int]]
    row_count: int
    byte_count: int
    sha256: str
    created_at: datetime
    delivered_at: datetime | None
    abandoned_at: datetime | None = Field(description="a replay or other terms came first, or the topic was made anew")
    attempts: list[AttemptOut]


def _out(row: store.Subscription, grant: Grant) -> dict[str, Any]:
    held_by = grants.held_by(grant.state_at(utc_now()), Mode(row.mode), grant.read_terms)
    return {
        **{name: getattr(row, name) for name in SubscriptionOut.model_fields if name not in ("held_by", "place")},
        "held_by": held_by if row.state == domain.State.ACTIVE else None,
        "place": row.read_place.model_dump(),
    }


@router.post(
    "",
    status_code=201,
    responses=problems(GrantNotFound, GrantOver, GrantIsSuspended, ModeNotGranted, SubscriptionsTooMany, *_REFUSED),
)
async def open_subscription(grant_id: UUID, body: OpeningIn, who: Steward, request: Request) -> SubscriptionMade:
    """Let a grant's rows be brought to a destination, as its requester; the destination is tried first."""
    opening: Opening = request.state.opening
    mode, most, subscription_id = Mode(body.mode), opening.settings.most_per_grant, uuid7()
    async with request.state.sessions() as tx:
        grant, view = await commands.check_may_open(tx, grant_id, mode, by=who, most=most, now=utc_now())
        resource = (await catalog.get_resource(tx, grant.resource_id)).read()
    match body:
        case WebhookIn():
            tried = await opening.webhook(subscription_id, body)
        case TableIn():
            tried = await opening.table(subscription_id, body, view, resource)
        case FileIn():
            tried = opening.file(body)
    async with request.state.sessions.begin() as tx:
        now = utc_now()
        grant, _ = await commands.check_may_open(tx, grant_id, mode, by=who, most=most, now=now, lock=True)
        row = await commands.open_subscription(
            tx,
            grant,
            subscription_id,
            mode,
            settings=tried.settings,
            sealed=tried.sealed,
            destination=tried.told,
            from_now=not isinstance(body, FileIn) and body.start == "now",
            now=now,
        )
        return SubscriptionMade(**_out(row, grant), secret=tried.secret)


@router.get("", responses=problems(GrantNotFound))
async def list_subscriptions(grant_id: UUID, who: Who, tx: Tx) -> list[SubscriptionOut]:
    """List a grant's subscriptions, oldest first, to its requester, its provider or the authority."""
    grant, _ = await get_visible(tx, grant_id, who)
    return [SubscriptionOut(**_out(row, grant)) for row in await store.list_of_grant(tx, grant_id)]


@router.get("/{subscription_id}", responses=problems(*_MISSING))
async def get_subscription(grant_id: UUID, subscription_id: UUID, who: Who, tx: Tx) -> SubscriptionOut:
    """Return a subscription: how far it is, and what went wrong last."""
    return SubscriptionOut(**_out(*await commands.get_visible_one(tx, grant_id, subscription_id, who)))


@router.post("/{subscription_id}/pause", status_code=201, responses=problems(*_MISSING, SubscriptionState))
async def pause(grant_id: UUID, subscription_id: UUID, body: ReasonIn, who: Steward, tx: Tx) -> SubscriptionOut:
    """Let a subscription stand still; nothing is missed."""
    row = await commands.pause(tx, grant_id, subscription_id, reason=body.reason, by=who, now=utc_now())
    return SubscriptionOut(**_out(*await commands.get_visible_one(tx, grant_id, row.subscription_id, who)))


@router.post("/{subscription_id}/resumption", status_code=201, responses=problems(*_MISSING, SubscriptionState, *_REFUSED))
async def resume(grant_id: UUID, subscription_id: UUID, body: ReasonIn, who: Steward, request: Request) -> SubscriptionOut:
    """Let a paused or dead subscription go on where it stood; its destination is tried first."""
    async with request.state.sessions.begin() as tx:
        row, grant = await commands.get_own(tx, grant_id, subscription_id, who)
        domain.check_resumable(domain.State(row.state))
        view = await grant_store.get_view(tx, grant.view_id)
        resource = (await catalog.get_resource(tx, grant.resource_id)).read()
    opening: Opening = request.state.opening
    await opening.try_again(row, view, resource)
    async with request.state.sessions.begin() as tx:
        row, grant = await commands.get_own(tx, grant_id, subscription_id, who)
        return SubscriptionOut(**_out(await commands.resume(tx, row, grant, reason=body.reason, now=utc_now()), grant))


@router.post("/{subscription_id}/replay", status_code=201, responses=problems(*_MISSING, SubscriptionState, SubscriptionInvalid))
async def replay(grant_id: UUID, subscription_id: UUID, body: ReplayIn, who: Steward, tx: Tx) -> SubscriptionOut:
    """Have rows again that were delivered: since offsets, a time or a batch, or all of them."""
    await commands.replay(
        tx, grant_id, subscription_id, offsets=body.offsets, since=body.since, batch_id=body.batch_id, by=who, now=utc_now()
    )
    return SubscriptionOut(**_out(*await commands.get_visible_one(tx, grant_id, subscription_id, who)))


@router.post("/{subscription_id}/termination", status_code=201, responses=problems(*_MISSING, SubscriptionState))
async def end(grant_id: UUID, subscription_id: UUID, body: ReasonIn, who: Steward, tx: Tx) -> SubscriptionOut:
    """End a subscription; the grant goes on."""
    await commands.end(tx, grant_id, subscription_id, reason=body.reason, by=who, now=utc_now())
    return SubscriptionOut(**_out(*await commands.get_visible_one(tx, grant_id, subscription_id, who)))


@router.post("/{subscription_id}/secret", status_code=201, responses=problems(*_MISSING, SubscriptionState, SubscriptionInvalid))
async def rotate_secret(grant_id: UUID, subscription_id: UUID, who: Steward, tx: Tx, request: Request) -> SecretOut:
    """Give a webhook a new secret; for a day the former one signs as well."""
    opening: Opening = request.state.opening
    row, _ = await commands.get_own(tx, grant_id, subscription_id, who)
    secrets = webhooks.rotate(row, opening.key, now=utc_now())
    assert secrets.former_until is not None, "a rotated secret has a former one"
    return SecretOut(secret=secrets.secret, former_until=secrets.former_until)


@router.get("/{subscription_id}/messages", responses=problems(*_MISSING, CursorInvalid))
async def list_messages(
    grant_id: UUID, subscription_id: UUID, who: Who, tx: Tx, limit: Limit = 100, cursor: CursorText = None
) -> Page[MessageOut]:
    """List what was posted or is to be, newest first, with every attempt."""
    await commands.get_visible_one(tx, grant_id, subscription_id, who)
    rows = await messages.list_messages(tx, subscription_id, limit=limit + 1, after=after_time(cursor))
    page = cut(rows, limit, lambda row: (row.created_at, row.message_id))
    attempts = await messages.attempts_of(tx, [row.message_id for row in page.items])
    return Page(items=[_message(row, attempts[row.message_id]) for row in page.items], next_cursor=page.next_cursor)


def _message(row: messages.Message, attempts: Any) -> MessageOut:
    return MessageOut(
        **{name: getattr(row, name) for name in MessageOut.model_fields if name not in ("attempts", "webhook_id", "ranges")},
        webhook_id=f"msg_{row.message_id.hex}",
        ranges=[(one[0], one[1], one[2]) for one in row.ranges],
        attempts=[AttemptOut(**{name: getattr(one, name) for name in AttemptOut.model_fields}) for one in attempts],
    )
