"""Cancellation: a loop ends although what it awaited swallowed the news, and does not end because something inside was cancelled."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dxmesh_runtime.broker import EndedWithin, closed, discard, end_if_cancelled, lasting


async def _cancelled_within() -> None:
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


async def test_a_loop_ends_although_its_cancellation_was_swallowed() -> None:
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            end_if_cancelled()
            rounds += 1
            try:
                await asyncio.sleep(0 if rounds < 3 else 60)
            except asyncio.CancelledError:
                continue  # as aiokafka's close does

    task = asyncio.create_task(loop())
    while rounds < 3:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()
    assert rounds == 3


async def test_a_timeout_of_its_own_does_not_end_a_loop() -> None:
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(60)
    except TimeoutError:
        pass
    end_if_cancelled()


async def test_what_is_cancelled_from_within_fails_in_a_group_and_is_not_taken_as_ended() -> None:
    with pytest.raises(ExceptionGroup) as failed:
        async with asyncio.TaskGroup() as group:
            group.create_task(lasting(_cancelled_within()))
    assert failed.group_contains(EndedWithin)


async def test_what_is_cancelled_from_without_ends() -> None:
    task = asyncio.create_task(lasting(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def _hostile_close() -> None:
    await closed(_cancelled_within())


async def _hostile_discard() -> None:
    gone: Any = SimpleNamespace(_sender=None, stop=_cancelled_within, client=SimpleNamespace(close=_cancelled_within))
    await discard(gone)


@pytest.mark.parametrize("closing", [_hostile_close, _hostile_discard])
async def test_no_cancellation_comes_out_of_closing(closing: Any) -> None:
    task = asyncio.create_task(closing())
    await asyncio.wait([task], timeout=30)
    assert not task.cancelled()
    assert task.exception() is None


async def _slow_close() -> None:
    await closed(asyncio.sleep(60))


async def _slow_discard() -> None:
    slow: Any = SimpleNamespace(_sender=None, stop=lambda: asyncio.sleep(60), client=SimpleNamespace(close=lambda: asyncio.sleep(0)))
    await discard(slow)


@pytest.mark.parametrize("closing", [_slow_close, _slow_discard])
async def test_who_closes_can_still_be_cancelled(closing: Any) -> None:
    task = asyncio.create_task(closing())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()
