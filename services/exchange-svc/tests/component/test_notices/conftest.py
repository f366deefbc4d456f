"""A resource whose next version is announced, and what is told and delivered meanwhile."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dxmesh_schemas.catalog import DataItem, DataType, ResourceSnapshot, SharingType
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced, ResourceReturned
from dxmesh_schemas.exchange import (
    DispatchOrdered,
)

ANNOUNCED_AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
EFFECTIVE_AT = datetime(2026, 12, 22, 8, tzinfo=UTC)


class Notices:
    """Announces versions, calls them off, lets them come in force, and looks at what was said."""

    @staticmethod
    def coming_of(first: ResourceSnapshot, **changes: Any) -> ResourceSnapshot:
        """The next version: `since` is gone, `people` is text, `name` is at most four characters."""
        items = (
            first.items[0],
            DataItem(code="name", name="名称", data_type=DataType.TEXT, required=True, length=4),
            DataItem(code="people", name="人数", data_type=DataType.TEXT),
        )
        fields = {"version": first.version + 1, "items": items, "schema_url": "https://mesh.example/2", "published_at": EFFECTIVE_AT}
        return first.model_copy(update=fields | changes)

    @staticmethod
    async def announce(exchange: Any, coming: ResourceSnapshot, *broken: str, breaks_all: bool = False, grants: Any = ()) -> None:
        event = ResourceChangeAnnounced(
            resource_id=coming.resource_id,
            resource=coming,
            effective_at=EFFECTIVE_AT,
            announced_at=ANNOUNCED_AT,
            broken_items=broken or ("since", "people", "name"),
            breaks_all=breaks_all,
            grants=grants,
        )
        await exchange.deliver(event)

    @staticmethod
    async def call_off(exchange: Any, coming: ResourceSnapshot) -> None:
        event = ResourceReturned(
            resource_id=coming.resource_id,
            version=coming.version,
            revision=9,
            provider=coming.provider,
            reason="使用部门异议",
            fault_count=0,
            was_announced=True,
            returned_at=ANNOUNCED_AT,
            returned_by="authority",
        )
        await exchange.deliver(event)

    @staticmethod
    async def come_in_force(exchange: Any, coming: ResourceSnapshot) -> None:
        await exchange.publish(**{name: getattr(coming, name) for name in type(coming).model_fields})

    @staticmethod
    async def said(exchange: Any, *kinds: type) -> list[Any]:
        return [event for event in await exchange.outbox() if isinstance(event, kinds)]

    @staticmethod
    async def seen(exchange: Any, grant: Any, *, by: Any = None) -> Any:
        headers = exchange.steward(by or exchange.requester)
        return (await exchange.client.get(f"/v1/grants/{grant['grant_id']}", headers=headers)).json()

    @staticmethod
    async def delivered(exchange: Any) -> dict[str, list[int]]:
        """Return for each view the sequences that were ordered for it, in their order."""
        found: dict[str, list[int]] = {}
        for order in await Notices.said(exchange, DispatchOrdered):
            for view in order.views:
                found.setdefault(str(view.view_id), []).append(order.sequence)
        return found

    @staticmethod
    def slug(answer: Any) -> str:
        return str(answer.json()["type"]).rsplit("/", 1)[1]

    @staticmethod
    def exchange_items() -> tuple[DataItem, ...]:
        kinds = {"code": DataType.TEXT, "name": DataType.TEXT, "people": DataType.INTEGER, "since": DataType.DATE}
        return tuple(DataItem(code=code, name=code, data_type=kind) for code, kind in kinds.items())

    @staticmethod
    def limited(code: str) -> DataItem:
        return DataItem(code=code, name=code, data_type=DataType.TEXT, sharing_type=SharingType.CONDITIONAL)


@pytest.fixture
async def noticed(exchange: Any) -> Any:
    """A resource with one accepted batch and a grant of it, and its coming version, which is announced."""
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    grant = await exchange.granted(first)
    coming = Notices.coming_of(first)
    await Notices.announce(exchange, coming)
    return first, coming, grant


@pytest.fixture
def notices() -> type[Notices]:
    """Return what announces versions and looks at what was said."""
    return Notices
