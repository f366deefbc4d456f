"""Cancellation: a loop ends although what it awaited swallowed the news."""

import asyncio

from dxmesh_runtime.broker import end_if_cancelled


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
