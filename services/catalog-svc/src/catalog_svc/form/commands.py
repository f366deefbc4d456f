"""What enters a form and compares it with the catalogue."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.form import domain, store
from catalog_svc.form.domain import Outcome
from catalog_svc.form.errors import FormNameTaken
from catalog_svc.matching import commands as matching
from catalog_svc.matching.domain import Element, Lexicon, Match, Verdict, compare, kind_of
from catalog_svc.organization import store as organizations
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import DataType
from dxmesh_schemas.text import comparable

_OF_A_KEY = 5
"""How many items of one name are looked at; sources come first."""


async def enter(
    tx: AsyncSession, organization_id: UUID, *, name: str, items: Sequence[dict[str, Any]], by: str, now: datetime
) -> store.Form:
    """Keep a form with what the catalogue has of it; the organization is locked, so that its names are compared one at a time.

    Raises: OrganizationNotFound (404), FormNameTaken (409).
    Source: 政务数据共享条例 Art. 19.
    """
    await organizations.get(tx, organization_id, lock=True)
    known = await store.find_by_name(tx, organization_id, comparable(name))
    if known is not None:
        detail = f"the organization has a form called {known.name!r}; compare that one again, or choose another name"
        raise FormNameTaken.at("/name", detail, form_id=str(known.form_id))
    row = store.Form(
        form_id=uuid7(),
        organization_id=organization_id,
        name=name,
        name_key=comparable(name),
        items=list(items),
        entered_by=by,
        entered_at=now,
    )
    await _compare(tx, row, now=now)
    tx.add(row)
    await tx.flush()
    return row


async def compare_again(tx: AsyncSession, form_id: UUID, *, of: UUID | None, now: datetime) -> store.Form:
    """Compare a form with the catalogue as it is now. Raises: FormNotFound (404)."""
    row = await store.get(tx, form_id, of=of, lock=True)
    await _compare(tx, row, now=now)
    return row


async def _compare(tx: AsyncSession, row: store.Form, *, now: datetime) -> None:
    known = await matching.lexicon(tx)
    elements = [_element(known, item, row.name) for item in row.items]
    keys = await matching.like_keys(tx, elements)
    listed = await store.catalogued(tx, {key for found in keys for key in found}, most=_OF_A_KEY)
    findings = []
    for item, element, its_keys in zip(row.items, elements, keys, strict=True):
        matches = _matches(element, [one for key in its_keys for one in listed.get(key, ())])
        findings.append(_finding(item, matches))
    counts = Counter(finding["outcome"] for finding in findings)
    row.findings, row.matched_at = findings, now
    row.held_count, row.withheld_count = counts[Outcome.HELD.value], counts[Outcome.WITHHELD.value]
    row.doubtful_count, row.new_count = counts[Outcome.DOUBTFUL.value], counts[Outcome.NEW.value]


def _element(known: Lexicon, item: dict[str, Any], form_name: str) -> Element:
    data_type = item.get("data_type")
    return known.element(
        item["name"],
        kind=kind_of(DataType(data_type)) if data_type else None,
        form=item.get("format"),
        code_set=item.get("code_set"),
        length=item.get("length"),
        subject=form_name,
    )


def _matches(element: Element, listed: Sequence[store.Catalogued]) -> list[tuple[store.Catalogued, Match]]:
    """Return the items that are or may be the same: the same first, sources and shared ones before others, then by likeness."""
    found = [(one, compare(element, one.entry.element(one.resource.name))) for one in listed]
    kept = [(one, match) for one, match in found if match.verdict is not Verdict.DIFFERENT]
    kept.sort(
        key=lambda pair: (
            pair[1].verdict is not Verdict.SAME,
            pair[0].claim_id is None,
            pair[0].sharing_type == "NOT_SHARED",
            -pair[1].similarity,
        )
    )
    return kept[: domain.MOST_MATCHES]


def _finding(item: dict[str, Any], matches: Sequence[tuple[store.Catalogued, Match]]) -> dict[str, Any]:
    return {
        "name": item["name"],
        "outcome": domain.outcome(matches).value,
        "matches": [_match(one, match) for one, match in matches],
    }


def _match(one: store.Catalogued, match: Match) -> dict[str, Any]:
    return listed(one) | {
        "similarity": match.similarity,
        "verdict": match.verdict.value,
        "reasons": list(match.reasons),
        "how_to_ask": domain.how_to_ask(str(one.entry.resource_id), one.entry.item, one.sharing_type),
    }


def listed(one: store.Catalogued) -> dict[str, Any]:
    """Return a catalogued item as answers name it."""
    return {
        "organization_id": str(one.organization.organization_id),
        "organization_name": one.organization.name,
        "resource_id": str(one.entry.resource_id),
        "resource_code": one.resource.resource_code,
        "resource_name": one.resource.name,
        "item": one.entry.item,
        "item_name": one.entry.name,
        "sharing_type": one.sharing_type,
        "is_source": one.claim_id is not None,
    }
