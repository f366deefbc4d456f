"""Deadlines of the catalogue, begun at a moment of their own."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest

from catalog_svc.duty import commands
from catalog_svc.duty.domain import Change
from dxmesh_clocks.policy import regulation
from dxmesh_clocks.working_days import ZONE, day_of
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog_deadlines import DeadlineEvent

MONDAY = date(2026, 11, 2)
AUTHORITY = Principal("authority", None, frozenset({"authority"}))


class Duties:
    """Begins duties, lets time pass, and looks at them."""

    @staticmethod
    def at(year: int, month: int, day: int, hour: int = 9) -> datetime:
        return datetime(year, month, day, hour, tzinfo=ZONE)

    @staticmethod
    def today() -> date:
        return day_of(utc_now())

    @staticmethod
    async def in_tx(node: Any, do: Callable[[Any], Awaitable[Any]]) -> Any:
        async with node.sessions.begin() as tx:
            return await do(tx)

    @staticmethod
    async def begun(node: Any, made: dict[str, Any], *, changed_on: date = MONDAY, **changes: Any) -> UUID:
        """Register a change of a resource, as on the day it happened; return the duty's id."""
        given: dict[str, Any] = {"organization_id": None, "resource_id": UUID(made["resource_id"]), "basis": None, "reason": "职责调整"}
        given |= {
            "change": Change.DUTIES,
            "changed_on": changed_on,
            "by": AUTHORITY,
            "now": Duties.at(changed_on.year, changed_on.month, changed_on.day),
        }
        row = await Duties.in_tx(node, lambda tx: commands.register(tx, regulation(), **(given | changes)))
        duty_id: UUID = row.duty_id
        return duty_id

    @staticmethod
    async def told(node: Any, now: datetime) -> list[DeadlineEvent]:
        """Tell what is due at a moment; return all that was told so far."""
        await Duties.in_tx(node, lambda tx: commands.tell_due(tx, now=now))
        return [event for event in await node.events() if isinstance(event, DeadlineEvent)]

    @staticmethod
    async def shown(node: Any, duty_id: UUID | str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        answer = await node.client.get(f"/v1/duties/{duty_id}", headers=headers or node.authority)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @staticmethod
    async def next_version(node: Any, organization: dict[str, Any], made: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
        changed = await node.client.put(f"/v1/resources/{made['resource_id']}", json=entry, headers=node.steward(organization))
        assert changed.status_code == 200, changed.text
        found: dict[str, Any] = await node.put_in_force(changed.json())
        return found


@pytest.fixture
def duties() -> type[Duties]:
    """Return what begins duties and looks at them."""
    return Duties
