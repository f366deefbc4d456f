"""A bound for what a requester's database may send: the driver holds a message until it is whole, whatever length its server says."""

import asyncio
from collections.abc import Callable
from typing import Any

_MOST_BYTES = 16 << 20  # of answers: places, column names, notices


class Bounded:
    """The event loop for one connection, which is cut when more comes in so many seconds than answers can have."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._since, self._left = self._loop.time(), _MOST_BYTES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, factory: Callable[[], Any], *given: Any, **options: Any) -> tuple[Any, Any]:
        """Connect as the loop does; what the protocol receives is counted."""
        return await self._loop.create_connection(lambda: self.counted(factory()), *given, **options)

    async def start_tls(self, *given: Any, **options: Any) -> Any:
        """Begin TLS as the loop does; the protocol that is behind it is set afterwards, and is counted too."""
        transport = await self._loop.start_tls(*given, **options)
        return None if transport is None else _Counting(transport, self)

    def counted(self, protocol: Any) -> Any:
        """Return a protocol that counts what it receives, and refuses what is too much: its transport closes, and says so to the driver."""
        receive = protocol.data_received

        def received(data: bytes) -> None:
            now = self._loop.time()
            if now - self._since > self._seconds:
                self._since, self._left = now, _MOST_BYTES
            self._left -= len(data)
            if self._left < 0:
                raise ConnectionAbortedError(f"more than {_MOST_BYTES} bytes of answers")
            receive(data)

        protocol.data_received = received
        return protocol


class _Counting:
    """A transport whose protocol, whenever it is set, is counted."""

    def __init__(self, transport: Any, bound: Bounded) -> None:
        self._transport, self._bound = transport, bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def set_protocol(self, protocol: Any) -> None:
        """Give what comes to a protocol from now on."""
        self._transport.set_protocol(self._bound.counted(protocol))
