import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dxmesh_runtime import relay as relay_module
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


async def test_a_relay_whose_broker_acknowledges_nothing_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_ANSWER_SECONDS", 0.05)
    relay = Relay(SimpleNamespace(), SimpleNamespace(), source="catalog-svc")  # type: ignore[arg-type]
    acknowledged, silent = asyncio.get_running_loop().create_future(), asyncio.get_running_loop().create_future()
    acknowledged.set_result(7)
    async with asyncio.timeout(30):
        assert await relay._results([acknowledged]) == [7]
        with pytest.raises(TimeoutError, match="nothing was acknowledged"):
            await relay._results([acknowledged, silent])
