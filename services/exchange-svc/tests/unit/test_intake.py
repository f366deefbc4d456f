"""A body that is pushed: taken as it comes, and given up when nothing comes any more."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from exchange_svc.batch.errors import BodyInterrupted
from exchange_svc.batch.intake import _patient


async def body(*, hangs: bool) -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"
    if hangs:
        await asyncio.Event().wait()


async def test_a_body_is_taken_to_its_end() -> None:
    assert [piece async for piece in _patient(body(hangs=False), 30)] == [b"a", b"b"]


async def test_a_connection_that_brings_nothing_any_more_is_given_up() -> None:
    coming = _patient(body(hangs=True), 0.05)
    assert [await anext(coming), await anext(coming)] == [b"a", b"b"]
    with pytest.raises(BodyInterrupted, match="push again with the same batch id"):
        await anext(coming)
