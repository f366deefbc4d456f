"""A worker whose lane was cancelled from within fails, and is begun anew: a partition without a lane would wait for ever."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from dxmesh_runtime.standstill import StoodStill
from exchange_svc.delivery.settings import DeliverySettings
from exchange_svc.delivery.worker import _Worker


async def test_a_lane_that_was_cancelled_from_within_is_no_lane_that_was_taken_away() -> None:
    nothing: Any = SimpleNamespace()
    worker = _Worker(nothing, nothing, nothing, DeliverySettings())
    lane = asyncio.create_task(asyncio.sleep(60))
    worker._lanes[TopicPartition("dispatch", 3)] = lane
    lane.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(StoodStill, match="dispatch-3"):
            await worker._until_a_lane_ends()
