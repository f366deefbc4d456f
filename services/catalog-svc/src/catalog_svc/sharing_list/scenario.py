"""The terms of a scenario and their rules: who may ask, for what, which data, and when."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from catalog_svc.resource.definition import ClassPath
from dxmesh_schemas.catalog_lists import ScenarioData, ScenarioRequesters, ScenarioTerms

_FIRST_YEAR, _LAST_YEAR = 2000, 2099
_MOST_ITEMS = 2_000  # of all its resources together, so that its event stays far below what a record may hold


class RequestersIn(ScenarioRequesters):
    """Who may ask, as it is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    organization_ids: Annotated[tuple[UUID, ...], Field(max_length=200)] = ()


class DataIn(ScenarioData):
    """What may be asked for, as it is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    items: Annotated[tuple[str, ...], Field(max_length=1000)] = ()
    class_prefix: ClassPath | None = None


class TermsIn(ScenarioTerms):
    """What a scenario authorizes, as it is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    requesters: RequestersIn
    data: Annotated[tuple[DataIn, ...], Field(min_length=1, max_length=200)]


def faults(terms: TermsIn, *, organizations: Collection[UUID], items: Mapping[UUID, Collection[str]]) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, what is wrong and what to do); `items` are the codes of the resources in force, by their ids."""
    if not terms.purposes:
        yield "/scenario/purposes", "is empty: a scenario authorizes for a purpose; name at least one"
    who = terms.requesters
    if not (who.organization_ids or who.kinds or who.levels):
        yield "/scenario/requesters", "names nobody; name organizations, or kinds or levels of them"
    for place, organization_id in enumerate(who.organization_ids):
        if organization_id not in organizations:
            yield f"/scenario/requesters/organization_ids/{place}", "is no registered organization; look it up under /v1/organizations"
    for place, data in enumerate(terms.data):
        yield from _data(f"/scenario/data/{place}", data, items)
    if (count := sum(len(data.items) for data in terms.data)) > _MOST_ITEMS:
        yield "/scenario/data", f"names {count} items; name at most {_MOST_ITEMS}, or whole resources"
    yield from _days(terms.valid_from, terms.valid_until)


def _data(pointer: str, data: DataIn, items: Mapping[UUID, Collection[str]]) -> Iterator[tuple[str, str]]:
    if (data.resource_id is None) == (data.class_prefix is None):
        yield pointer, "names a resource or a class, one of the two: give resource_id or class_prefix"
    elif data.resource_id is None:
        if data.items:
            yield f"{pointer}/items", "are of no resource; name in resource_id the resource whose items they are"
    elif data.resource_id not in items:
        yield f"{pointer}/resource_id", "is no data resource in force; look it up under /v1/resources"
    elif unknown := [code for code in data.items if code not in items[data.resource_id]]:
        yield f"{pointer}/items", f"has {', '.join(unknown[:20])}, which the resource does not; name items it has, or none for all of it"


def _days(first: date, last: date) -> Iterator[tuple[str, str]]:
    for name, day in (("valid_from", first), ("valid_until", last)):
        if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            yield f"/scenario/{name}", f"is {day}; write a day from {_FIRST_YEAR} to {_LAST_YEAR}"
    if last < first:
        yield "/scenario/valid_until", f"is {last}, before valid_from ({first}); write that day or a later one"
