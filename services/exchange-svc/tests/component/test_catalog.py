"""The replica of the catalogue: versions kept in memory."""

from typing import Any

import pytest

from exchange_svc.catalog import store


async def test_versions_asked_for_come_whole_however_few_are_kept_in_memory(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MOST_VERSIONS", 3)
    monkeypatch.setattr(store, "_versions", {})
    published = [await exchange.publish() for _ in range(5)]
    places = [(one.resource_id, one.version) for one in published]
    unknown = (published[0].resource_id, 9)
    async with exchange.sessions() as tx:
        for wanted in (places[:2], places[1:4], [*places[3:], unknown], places[:3], places[2:]):
            found = await store.list_versions(tx, wanted)
            assert found == {place: one for place, one in zip(places, published, strict=True) if place in wanted}
            assert len(store._versions) <= 3
