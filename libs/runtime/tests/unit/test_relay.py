import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from dxmesh_runtime.relay import Relay


class Idle(Relay):
    """A relay that has nothing to publish, and counts how often it looked."""

    looked = 0

    async def _pending(self) -> list[Any]:
        self.looked += 1
        return []


async def test_a_relay_ends_also_when_an_event_comes_with_the_end() -> None:
    database, kafka, connection = SimpleNamespace(), SimpleNamespace(), SimpleNamespace(is_closed=lambda: False)
    relay = Idle(database, kafka, source="catalog-svc", keep=timedelta(days=7))  # type: ignore[arg-type]
    work = asyncio.create_task(relay._publish_forever(SimpleNamespace(), connection))  # type: ignore[arg-type]
    while not relay.looked:
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    relay._wake.set()
    await asyncio.sleep(0)  # the waiter has been woken, whoever waits with a limit has not yet heard of it
    work.cancel()
    ended, _ = await asyncio.wait([work], timeout=30)  # one that does not end never would
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert ended
