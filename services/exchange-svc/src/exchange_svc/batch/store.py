"""The batch table."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Index, Insert, UniqueConstraint, Uuid, any_, bindparam, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.outbox import ENTRY, outbox
from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.exchange import ObjectRef
from exchange_svc.batch.domain import Identity, State
from exchange_svc.batch.errors import BatchNotFound
from exchange_svc.catalog.store import Resource
from exchange_svc.rows import Base


class Batch(Base):
    """One file that was taken in, and what became of it."""

    __tablename__ = "batch"
    __table_args__ = (
        UniqueConstraint("resource_id", "sequence", name="uq_batch_resource_sequence"),
        Index("ix_batch_resource_received", "resource_id", "received_at", "batch_id"),
        Index("ix_batch_received", "received_at"),
    )
    batch_id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID]
    resource_version: Mapped[int]
    provider_id: Mapped[UUID]
    provider: Mapped[dict[str, Any]]
    kind: Mapped[str]
    state: Mapped[str]
    media_type: Mapped[str]
    body_sha256: Mapped[str]
    body_byte_count: Mapped[int]
    received_count: Mapped[int]
    refused_row_count: Mapped[int]
    received_at: Mapped[datetime]
    event_id: Mapped[UUID]
    acknowledgement: Mapped[str]
    rows: Mapped[dict[str, Any]]
    refused: Mapped[dict[str, Any] | None]
    assessment_id: Mapped[UUID | None]
    assessed_at: Mapped[datetime | None]
    accepted_count: Mapped[int | None]
    quarantined_count: Mapped[int | None]
    rejected_count: Mapped[int | None]
    sequence: Mapped[int | None]
    reason: Mapped[str | None]
    accepted_rows: Mapped[dict[str, Any] | None]
    quarantine: Mapped[dict[str, Any] | None]

    @property
    def identity(self) -> Identity:
        """Return what a repeated push must equal."""
        return Identity(self.resource_id, self.kind, self.body_sha256)

    @property
    def provider_ref(self) -> OrganizationRef:
        """Return the organization that sent the batch."""
        return OrganizationRef.model_validate(self.provider)

    @property
    def accepted_ref(self) -> ObjectRef:
        """Return the object of the accepted rows. Raises ValueError before acceptance."""
        return ObjectRef.model_validate(self.accepted_rows)

    @property
    def faults_ref(self) -> ObjectRef | None:
        """Return the object that names the bad rows: of the assessment, or of the intake while that is outstanding."""
        document = self.quarantine or self.refused
        return ObjectRef.model_validate(document) if document else None


_RECEIVED = (
    "batch_id", "resource_id", "resource_version", "provider_id", "provider", "kind", "state", "media_type", "body_sha256",
    "body_byte_count", "received_count", "refused_row_count", "received_at", "event_id", "acknowledgement", "rows", "refused",
)  # fmt: skip
_TARGET = select(
    Resource.provider_id,
    Resource.version,
    Resource.withdrawn_at,
    exists().where(Batch.batch_id == bindparam("batch_id")).label("is_known"),
).where(Resource.resource_id == bindparam("resource_id"))

_AS_IT_IS = select(Batch).where(Batch.batch_id == any_(bindparam("batch_ids", type_=ARRAY(Uuid)))).execution_options(populate_existing=True)


def _entering() -> Insert:
    """Return one statement that inserts a batch, and its event if the batch was inserted: a push costs no more than this round trip."""
    columns = Batch.__table__.c
    batch = insert(Batch).values({name: bindparam(f"batch_{name}", type_=columns[name].type) for name in _RECEIVED})
    entered = batch.on_conflict_do_nothing(index_elements=["batch_id"]).returning(columns["batch_id"]).cte("entered")
    event = select(*(bindparam(f"event_{name}", type_=outbox.c[name].type) for name in ENTRY)).select_from(entered)
    return insert(outbox).from_select(ENTRY, event).returning(outbox.c.seq)


_ENTER = _entering()


async def enter(connection: AsyncConnection, batch: dict[str, Any], event: dict[str, Any]) -> Batch | None:
    """Insert a batch with its event; return None when its id is taken, after the transaction that took it has ended."""
    values = {f"batch_{name}": value for name, value in batch.items()} | {f"event_{name}": value for name, value in event.items()}
    entered = await connection.execute(_ENTER, values)
    return Batch(**batch) if entered.first() is not None else None


async def find_target(connection: AsyncConnection, resource_id: UUID, batch_id: UUID) -> Any:
    """Return of the resource a push is for `provider_id`, `version`, `withdrawn_at`, and `is_known`: whether the batch id is taken."""
    return (await connection.execute(_TARGET, {"resource_id": resource_id, "batch_id": batch_id})).one_or_none()


async def find(tx: AsyncSession, batch_id: UUID) -> Batch | None:
    """Return a batch, if there is one."""
    return await tx.get(Batch, batch_id)


async def get(tx: AsyncSession, batch_id: UUID) -> Batch:
    """Return a batch. Raises BatchNotFound (404)."""
    row = await find(tx, batch_id)
    if row is None:
        raise BatchNotFound(f"batch {batch_id} does not exist, or you may not see it")
    return row


async def find_all(tx: AsyncSession, batch_ids: Collection[UUID]) -> dict[UUID, Batch]:
    """Return those of the batches that exist, as they are now in the database."""
    return {row.batch_id: row for row in await tx.scalars(_AS_IT_IS, {"batch_ids": list(batch_ids)})}


async def list_of_resource(
    tx: AsyncSession, resource_id: UUID, *, state: State | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Batch]:
    """Return a resource's batches, newest first."""
    query = select(Batch).where(Batch.resource_id == resource_id)
    if state is not None:
        query = query.where(Batch.state == state)
    return (await tx.scalars(newest_first(query, Batch.received_at, Batch.batch_id, limit=limit, after=after))).all()


async def stream_accepted(
    tx: AsyncSession, resource_id: UUID, *, accepted_from: datetime | None = None, group: int = 500
) -> AsyncIterator[Sequence[Batch]]:
    """Yield a resource's accepted batches, all or those accepted from a moment on, in the order of their acceptance, in groups."""
    chosen = [Batch.resource_id == resource_id]
    if accepted_from is not None:
        chosen.append(Batch.assessed_at >= accepted_from)
    last = 0
    while True:
        query = select(Batch).where(*chosen, Batch.sequence > last).order_by(Batch.sequence).limit(group)
        rows = (await tx.scalars(query)).all()
        if not rows:
            return
        yield rows
        last = rows[-1].sequence or 0
