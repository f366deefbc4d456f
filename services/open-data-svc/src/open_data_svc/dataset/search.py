"""Finding datasets: the words, facets and totals that the portal and the CKAN face both show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from open_data_svc.dataset.domain import API, Format, Order, Search, State
from open_data_svc.dataset.store import Dataset, DatasetVersion, Distribution, as_uuid

_ORDERS: Mapping[Order, ColumnElement[Any]] = {
    "newest": Dataset.refreshed_at.desc(),
    "oldest": Dataset.refreshed_at.asc(),
    "name": Dataset.name.asc(),
    "name_desc": Dataset.name.desc(),
    "title": Dataset.title.asc(),
    "title_desc": Dataset.title.desc(),
    "rows": Dataset.row_count.desc(),
    "created": Dataset.first_published_at.asc(),
    "created_desc": Dataset.first_published_at.desc(),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A page of datasets and how many there are in all."""

    datasets: Sequence[Dataset]
    total: int
    facets: Mapping[str, Sequence[tuple[str, str, int]]] = field(default_factory=dict)  # name → (value, label, count)


@dataclass(frozen=True, slots=True)
class Totals:
    """The numbers of the platform: 数据集, API接口, 数据项, 开放数据 (rows), and downloads."""

    datasets: int
    apis: int
    items: int
    rows: int
    downloads: int
    queries: int
    versions: int
    publishers: int


def _has(name: str, value: str, licence_id: str) -> ColumnElement[bool]:
    """Return the condition that a field has a value; `*` alone stands for any value."""
    true, false = Dataset.dataset_id.is_not(None), Dataset.dataset_id.is_(None)
    if value == "*":
        return Dataset.theme.is_not(None) if name in ("tags", "groups") else true
    identity = as_uuid(value)
    match name:
        case "organization" | "owner_org":
            same = or_(func.lower(Dataset.publisher_code) == value.lower(), Dataset.publisher == value)
            return or_(same, Dataset.publisher_id == identity) if identity else same
        case "tags" | "groups":
            return Dataset.theme == value
        case "res_format":
            return true if value.lower() in {form.value for form in Format} else false
        case "license_id":
            return true if value == licence_id else false
        case "name":
            return Dataset.name == value
        case "id":
            return Dataset.dataset_id == identity if identity else Dataset.name == value
        case "title":
            return Dataset.title.icontains(value, autoescape=True)
        case "notes":
            return Dataset.summary.icontains(value, autoescape=True)
        case "state":
            return true if value == "active" else false
        case "type":
            return true if value == "dataset" else false
        case _:
            raise ValueError(name)


def _matching(wanted: Search, licence_id: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [Dataset.state == State.OPEN]
    conditions += [Dataset.search_text.icontains(word, autoescape=True) for word in wanted.words]
    for name, values, included in wanted.fields:
        one_of = or_(*(_has(name, value, licence_id) for value in values))
        conditions.append(one_of if included else ~func.coalesce(one_of, False))
    return conditions


async def find(tx: AsyncSession, wanted: Search, *, licence_id: str = "", facets: Sequence[str] = (), facet_limit: int = 50) -> Found:
    """Return a page of open datasets, the total, and for each asked facet its commonest values."""
    conditions = _matching(wanted, licence_id)
    total = (await tx.scalars(select(func.count()).select_from(Dataset).where(*conditions))).one()
    query = select(Dataset).where(*conditions).order_by(_ORDERS[wanted.order], Dataset.name)
    datasets = (await tx.scalars(query.offset(wanted.offset).limit(wanted.limit))).all() if wanted.limit else []
    counted: dict[str, Sequence[tuple[str, str, int]]] = {}
    for facet in facets:
        counted[facet] = await _facet(tx, facet, conditions, total, licence_id, facet_limit)
    return Found(datasets, total, counted)


async def _facet(
    tx: AsyncSession, facet: str, conditions: Sequence[ColumnElement[bool]], total: int, licence_id: str, limit: int
) -> list[tuple[str, str, int]]:
    count = func.count()
    query: Any
    match facet:
        case "organization" | "owner_org":
            query = select(Dataset.publisher_code, func.max(Dataset.publisher), count).group_by(Dataset.publisher_code)
        case "tags" | "groups":
            query = select(Dataset.theme, Dataset.theme, count).where(Dataset.theme.is_not(None)).group_by(Dataset.theme)
        case "res_format":
            return [(form.name, form.name, total) for form in Format] if total else []
        case "license_id":
            return [(licence_id, licence_id, total)] if total else []
        case _:
            return []
    rows = await tx.execute(query.where(*conditions).order_by(count.desc(), query.selected_columns[0]).limit(limit))
    return [(value.lower() if facet in ("organization", "owner_org") else value, label, number) for value, label, number in rows]


async def list_names(tx: AsyncSession, *, offset: int, limit: int | None) -> Sequence[str]:
    """Return the names of open datasets in their order."""
    query = select(Dataset.name).where(Dataset.state == State.OPEN).order_by(Dataset.name).offset(offset)
    return (await tx.scalars(query.limit(limit) if limit is not None else query)).all()


async def totals(tx: AsyncSession) -> Totals:
    """Count what is open now, and every download and query ever made."""
    is_open = Dataset.state == State.OPEN
    row = (
        await tx.execute(
            select(
                func.count().filter(is_open),
                func.coalesce(func.sum(Dataset.item_count).filter(is_open), 0),
                func.coalesce(func.sum(Dataset.row_count).filter(is_open), 0),
                func.count(func.distinct(Dataset.publisher_id)).filter(is_open),
            )
        )
    ).one()
    is_api = Distribution.format == API
    used = select(
        func.coalesce(func.sum(Distribution.use_count).filter(~is_api), 0),
        func.coalesce(func.sum(Distribution.use_count).filter(is_api), 0),
    )
    downloads, queries = (await tx.execute(used)).one()
    versions = (await tx.scalars(select(func.count()).select_from(DatasetVersion))).one()
    return Totals(
        datasets=row[0],
        apis=row[0],
        items=int(row[1]),
        rows=int(row[2]),
        downloads=int(downloads),
        queries=int(queries),
        versions=versions,
        publishers=row[3],
    )
