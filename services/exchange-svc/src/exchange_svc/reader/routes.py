"""HTTP of readers: register, list, a new password, revoke."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from exchange_svc.access import whose
from exchange_svc.catalog.errors import OrganizationUnknown
from exchange_svc.reader import commands, domain, store
from exchange_svc.reader.errors import ReaderExists, ReaderNotFound, ReaderRevoked, ReadersNotOffered, TooManyReaders

router = APIRouter(prefix="/v1/readers", tags=["readers"])
SASL_MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker as readers reach it, and the key their verifiers are kept under."""

    bootstrap_servers: str
    security_protocol: str
    key: bytes


async def _broker(request: Request) -> Broker:
    found: Broker | None = request.state.reader_broker
    if found is None:
        raise ReadersNotOffered("this node's broker asks nobody who they are: connect without a user, or pull the rows over HTTP")
    return found


Reached = Annotated[Broker, Depends(_broker)]


class ReaderIn(BaseModel):
    """An information system that is to read from Kafka; without a name it is called by its system's id."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="small letters, digits and hyphens")
    system_id: UUID | None = Field(default=None, description="of the information system, as the catalogue has it")

    @model_validator(mode="after")
    def _is_called_something(self) -> Self:
        if self.name is None and self.system_id is None:
            raise ValueError("give `name`, `system_id` or both")
        return self


class ReaderOut(BaseModel):
    """A reader: as whom, where and what it reads now, and what its consumer groups begin with."""

    reader_id: UUID
    organization_id: UUID
    name: str
    system_id: UUID | None
    state: domain.State
    user_name: str
    bootstrap_servers: str
    security_protocol: str
    sasl_mechanism: str
    group_prefix: str = Field(description="Kafka refuses other consumer groups")
    topics: list[str] = Field(description="what Kafka lets it read now; it follows the organization's grants")
    created_at: datetime
    rotated_at: datetime
    revoked_at: datetime | None


class ReaderIssued(ReaderOut):
    """A reader with its password, which is shown this once."""

    password: str


async def _out(tx: AsyncSession, broker: Broker, *rows: store.Reader) -> list[ReaderOut]:
    topics = await store.topics_of(tx, rows, now=utc_now())
    return [_one(row, broker, topics[row.reader_id]) for row in rows]


def _one(row: store.Reader, broker: Broker, topics: frozenset[str]) -> ReaderOut:
    state = domain.state_of(revoked=row.revoked_at is not None, may_read=bool(topics))
    return ReaderOut(
        reader_id=row.reader_id,
        organization_id=row.organization_id,
        name=row.name,
        system_id=row.system_id,
        state=state,
        user_name=row.user_name,
        bootstrap_servers=broker.bootstrap_servers,
        security_protocol=broker.security_protocol,
        sasl_mechanism=SASL_MECHANISM,
        group_prefix=domain.group_prefix(row.organization_id),
        topics=sorted(topics) if state is domain.State.ACTIVE else [],
        created_at=row.created_at,
        rotated_at=row.rotated_at,
        revoked_at=row.revoked_at,
    )


async def _issued(tx: AsyncSession, broker: Broker, response: Response, row: store.Reader, password: str) -> ReaderIssued:
    response.headers["Cache-Control"] = "no-store"
    [shown] = await _out(tx, broker, row)
    return ReaderIssued(**shown.model_dump(), password=password)


@router.post("", status_code=201, responses=problems(ReadersNotOffered, OrganizationUnknown, ReaderExists, TooManyReaders))
async def register(body: ReaderIn, who: Steward, broker: Reached, tx: Tx, response: Response) -> ReaderIssued:
    """Register a Kafka user of the caller's organization; keep the password, it is not shown again."""
    name = body.name or str(body.system_id)
    row, password = await commands.register(tx, broker.key, name=name, system_id=body.system_id, by=who, now=utc_now())
    return await _issued(tx, broker, response, row, password)


@router.get("", responses=problems(ReadersNotOffered, CursorInvalid))
async def list_readers(who: Who, broker: Reached, tx: Tx, limit: Limit = 100, cursor: CursorText = None) -> Page[ReaderOut]:
    """List the readers of the caller's organization, newest first, revoked ones too."""
    rows = await store.list_of(tx, organization_id=whose(who), limit=limit + 1, after=after_time(cursor))
    page = cut(rows, limit, lambda row: (row.created_at, row.reader_id))
    return Page(items=await _out(tx, broker, *page.items), next_cursor=page.next_cursor)


@router.get("/{reader_id}", responses=problems(ReadersNotOffered, ReaderNotFound))
async def get_reader(reader_id: UUID, who: Who, broker: Reached, tx: Tx) -> ReaderOut:
    """Return a reader to its organization."""
    [found] = await _out(tx, broker, await commands.get_visible(tx, reader_id, who))
    return found


@router.post("/{reader_id}/rotation", status_code=201, responses=problems(ReadersNotOffered, ReaderNotFound, ReaderRevoked))
async def rotate(reader_id: UUID, who: Steward, broker: Reached, tx: Tx, response: Response) -> ReaderIssued:
    """Give a reader a new password; connections that are open with the old one go on until they end."""
    row, password = await commands.rotate(tx, broker.key, reader_id, by=who, now=utc_now())
    return await _issued(tx, broker, response, row, password)


@router.delete("/{reader_id}", status_code=204, responses=problems(ReadersNotOffered, ReaderNotFound))
async def revoke(reader_id: UUID, who: Steward, _: Reached, tx: Tx) -> None:
    """End a reader: Kafka refuses it, also where it is connected."""
    await commands.revoke(tx, reader_id, by=who, now=utc_now())
