"""The tables of datasets: their description, versions, files, and the counters of their use."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from sqlalchemy import Date, ForeignKey, Index, and_, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from open_data_svc.dataset import domain
from open_data_svc.dataset.domain import Format, State
from open_data_svc.dataset.errors import DatasetNotFound
from open_data_svc.rows import Base

_CHINA = timezone(timedelta(hours=8))
_NAME_LOCK = 0x64786F64  # advisory lock: two new datasets never choose the same name


class Dataset(Base):
    """An open dataset as the public sees it; `version` is the newest."""

    __tablename__ = "dataset"
    dataset_id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    title: Mapped[str]
    summary: Mapped[str]
    publisher_id: Mapped[UUID]
    publisher: Mapped[str]
    publisher_code: Mapped[str]
    theme: Mapped[str | None]
    update_cycle: Mapped[str]
    items: Mapped[list[dict[str, Any]]]
    item_count: Mapped[int]
    search_text: Mapped[str]
    version: Mapped[int]
    row_count: Mapped[int]
    first_published_at: Mapped[datetime]
    refreshed_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
    retired_reason: Mapped[str | None]
    __table_args__ = (
        Index("ix_dataset_open", "state", "refreshed_at"),
        Index("ix_dataset_publisher", "publisher_id"),
    )

    @property
    def is_open(self) -> bool:
        """Say whether the public may have it."""
        return self.state == State.OPEN

    @property
    def open_codes(self) -> tuple[str, ...]:
        """Return the codes of the items open now."""
        return tuple(item["code"] for item in self.items)


class DatasetVersion(Base):
    """One version: what it was made from. `removed_at` is when its files ceased to be kept."""

    __tablename__ = "dataset_version"
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    resource_version: Mapped[int]
    table_version: Mapped[int]
    sequence: Mapped[int]
    items: Mapped[list[str]]
    row_count: Mapped[int]
    published_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class DatasetFile(Base):
    """One version in one form: an immutable object and its digest."""

    __tablename__ = "dataset_file"
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.dataset_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    format: Mapped[str] = mapped_column(primary_key=True)
    object_key: Mapped[str]
    sha256: Mapped[str]
    byte_count: Mapped[int]


class Distribution(Base):
    """One way to get a dataset, across its versions: a form of file, or the query interface (`api`); and how often it was used.

    Use is counted here and not in the dataset's row, so that a reader never waits for a version in the making.
    """

    __tablename__ = "distribution"
    distribution_id: Mapped[UUID] = mapped_column(primary_key=True)
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.dataset_id"), index=True)
    format: Mapped[str]
    use_count: Mapped[int] = mapped_column(server_default="0")


async def find_of_resource(tx: AsyncSession, resource_id: UUID) -> Dataset | None:
    """Return a resource's dataset, open or retired."""
    return (await tx.scalars(select(Dataset).where(Dataset.resource_id == resource_id))).one_or_none()


async def find_by_name(tx: AsyncSession, name_or_id: str) -> Dataset | None:
    """Return a dataset by its name or its id, open or retired."""
    row = (await tx.scalars(select(Dataset).where(Dataset.name == name_or_id))).one_or_none()
    if row is None and (identity := as_uuid(name_or_id)) is not None:
        row = await tx.get(Dataset, identity)
    return row


async def get_by_name(tx: AsyncSession, name: str) -> Dataset:
    """Return a dataset by its name, open or retired. Raises: DatasetNotFound (404)."""
    row = (await tx.scalars(select(Dataset).where(Dataset.name == name))).one_or_none()
    if row is None:
        raise DatasetNotFound(f"there is no dataset {name!r}; the list is at /")
    return row


async def find_of_distribution(tx: AsyncSession, identity: UUID) -> Dataset | None:
    """Return the dataset that has a distribution of that id."""
    query = select(Dataset).join(Distribution, Distribution.dataset_id == Dataset.dataset_id)
    return (await tx.scalars(query.where(Distribution.distribution_id == identity))).one_or_none()


async def free_name(tx: AsyncSession, resource_id: UUID, resource_code: str, name: str) -> str:
    """Return a name no dataset has; held until the transaction ends."""
    await tx.execute(select(func.pg_advisory_xact_lock(_NAME_LOCK)))
    base = domain.base_name(resource_code, name)
    taken = (await tx.scalars(select(Dataset.name).where(Dataset.name == base))).all()
    return domain.dataset_name(resource_id, resource_code, name, taken=taken)


async def find_latest(tx: AsyncSession, dataset_id: UUID) -> DatasetVersion | None:
    """Return the newest version of a dataset."""
    query = select(DatasetVersion).where(DatasetVersion.dataset_id == dataset_id).order_by(DatasetVersion.version.desc()).limit(1)
    return (await tx.scalars(query)).one_or_none()


async def get_version(tx: AsyncSession, dataset: Dataset, version: int) -> DatasetVersion:
    """Return a version of a dataset. Raises: DatasetNotFound (404)."""
    row = await tx.get(DatasetVersion, (dataset.dataset_id, version)) if 0 < version < 2**62 else None
    if row is None:
        raise DatasetNotFound(f"dataset {dataset.name} has no version {version}; the newest is {dataset.version}")
    return row


async def list_versions(tx: AsyncSession, dataset_id: UUID, *, limit: int) -> Sequence[DatasetVersion]:
    """Return the newest versions first."""
    query = select(DatasetVersion).where(DatasetVersion.dataset_id == dataset_id).order_by(DatasetVersion.version.desc()).limit(limit)
    return (await tx.scalars(query)).all()


async def list_files(tx: AsyncSession, dataset_id: UUID, versions: Sequence[int]) -> Sequence[DatasetFile]:
    """Return the files of some versions of a dataset, by version and form."""
    query = select(DatasetFile).where(DatasetFile.dataset_id == dataset_id, DatasetFile.version.in_(versions))
    return (await tx.scalars(query.order_by(DatasetFile.version.desc(), DatasetFile.format))).all()


async def get_file(tx: AsyncSession, dataset: Dataset, version: int, form: Format) -> DatasetFile:
    """Return a file. Raises: DatasetNotFound (404)."""
    row = await tx.get(DatasetFile, (dataset.dataset_id, version, form.value))
    if row is None:
        raise DatasetNotFound(f"dataset {dataset.name} has no {form.value} file in version {version}")
    return row


async def list_latest_files(tx: AsyncSession, datasets: Sequence[Dataset]) -> dict[UUID, list[DatasetFile]]:
    """Return the files of each dataset's newest version, in one query."""
    found: dict[UUID, list[DatasetFile]] = {dataset.dataset_id: [] for dataset in datasets}
    query = (
        select(DatasetFile)
        .join(Dataset, and_(Dataset.dataset_id == DatasetFile.dataset_id, Dataset.version == DatasetFile.version))
        .where(DatasetFile.dataset_id.in_(list(found)))
        .order_by(DatasetFile.format)
    )
    for file in await tx.scalars(query):
        found[file.dataset_id].append(file)
    return found


async def add_distributions(tx: AsyncSession, dataset_id: UUID) -> None:
    """Enter the ways to get a dataset; entering them again changes nothing."""
    ways = [*(form.value for form in Format), domain.API]
    rows = [{"distribution_id": domain.distribution_id(dataset_id, way), "dataset_id": dataset_id, "format": way} for way in ways]
    await tx.execute(insert(Distribution).values(rows).on_conflict_do_nothing())


async def count_use(tx: AsyncSession, dataset_id: UUID, way: str) -> None:
    """Count one download of a form, or one query."""
    row = Distribution.distribution_id == domain.distribution_id(dataset_id, way)
    await tx.execute(update(Distribution).where(row).values(use_count=Distribution.use_count + 1))


async def uses_of(tx: AsyncSession, dataset_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Return how often each way of each dataset was used."""
    found: dict[UUID, dict[str, int]] = {identity: {} for identity in dataset_ids}
    for row in await tx.scalars(select(Distribution).where(Distribution.dataset_id.in_(dataset_ids))):
        found[row.dataset_id][row.format] = row.use_count
    return found


async def list_newest(tx: AsyncSession, *, limit: int) -> Sequence[Dataset]:
    """Return the datasets that changed last, open or retired."""
    return (await tx.scalars(select(Dataset).order_by(Dataset.refreshed_at.desc(), Dataset.name).limit(limit))).all()


async def list_refreshes(tx: AsyncSession, *, limit: int) -> Sequence[tuple[DatasetVersion, Dataset]]:
    """Return the versions made last, each with its dataset."""
    query = select(DatasetVersion, Dataset).join(Dataset, Dataset.dataset_id == DatasetVersion.dataset_id)
    newest = query.order_by(DatasetVersion.published_at.desc(), DatasetVersion.version.desc()).limit(limit)
    return [(version, dataset) for version, dataset in await tx.execute(newest)]


async def retire_versions(tx: AsyncSession, dataset_id: UUID, *, keep: int, now: datetime) -> None:
    """Mark all but the newest `keep` versions as kept no longer; `list_removed` gives their files."""
    newest = select(DatasetVersion.version).where(DatasetVersion.dataset_id == dataset_id).order_by(DatasetVersion.version.desc())
    oldest_kept = newest.offset(keep - 1).limit(1).scalar_subquery()
    old = and_(DatasetVersion.dataset_id == dataset_id, DatasetVersion.version < oldest_kept, DatasetVersion.removed_at.is_(None))
    await tx.execute(update(DatasetVersion).where(old).values(removed_at=now))


async def list_removed(tx: AsyncSession, *, before: datetime, limit: int) -> Sequence[DatasetFile]:
    """Return files of versions that ceased to be kept before a time, locked for the one who removes them."""
    query = (
        select(DatasetFile)
        .join(
            DatasetVersion,
            and_(DatasetVersion.dataset_id == DatasetFile.dataset_id, DatasetVersion.version == DatasetFile.version),
        )
        .where(DatasetVersion.removed_at < before)
        .order_by(DatasetVersion.removed_at)
        .limit(limit)
    )
    return (await tx.scalars(locked(query, of=DatasetFile, skip_locked=True))).all()


async def versions_per_day(tx: AsyncSession, *, days: int, now: datetime) -> list[int]:
    """Return how many versions were made on each of the last days (China's calendar), oldest first."""
    day = cast(func.timezone("Asia/Shanghai", DatasetVersion.published_at), Date)
    recent = DatasetVersion.published_at >= now - timedelta(days=days + 1)
    counted = {row[0]: row[1] for row in await tx.execute(select(day, func.count()).where(recent).group_by(day))}
    today = now.astimezone(_CHINA).date()
    return [counted.get(today - timedelta(days=days - 1 - back), 0) for back in range(days)]


def as_uuid(text_: str) -> UUID | None:
    """Return the id a text spells, if it does."""
    try:
        return UUID(text_)
    except ValueError:
        return None
