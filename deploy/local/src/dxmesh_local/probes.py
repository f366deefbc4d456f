"""Asking the parts of the mesh whether they are ready to work, by their own protocols."""

import asyncio
import socket
import struct


async def metadata_answers(host: str, port: int, login: tuple[str, str] | None = None, seconds: float = 5.0) -> bool:
    """Ask a Kafka broker for its cluster's metadata and tell whether at least one living broker is named.

    login: user and password (SASL/PLAIN) where the broker asks for one.
    Source: Kafka protocol guide, SaslHandshake version 1, SaslAuthenticate version 0, Metadata version 4 (header version 1), asking
    for no topic.
    """
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            if login is not None:
                token = "\0".join(("", *login)).encode()
                handshake = await _answer(reader, writer, 17, 1, struct.pack(">h", 5) + b"PLAIN")
                let_in = await _answer(reader, writer, 36, 0, struct.pack(">i", len(token)) + token)
                if any(struct.unpack_from(">h", one) != (0,) for one in (handshake, let_in)):
                    return False
            _throttle, brokers = struct.unpack_from(">ii", await _answer(reader, writer, 3, 4, struct.pack(">ib", 0, 0)))
            return bool(brokers > 0)
    except (OSError, asyncio.IncompleteReadError, TimeoutError, struct.error):
        return False
    finally:
        if writer is not None:
            writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: int, version: int, body: bytes) -> bytes:
    client = b"dxmesh-local"
    request = struct.pack(">hhih", key, version, 1, len(client)) + client + body
    writer.write(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return (await reader.readexactly(size))[4:]  # behind the correlation id


async def http_status(port: int, path: str, host: str = "127.0.0.1", seconds: float = 5.0) -> tuple[int, str]:
    """GET a path and return status and body; (0, "") when nobody answers."""
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), body.decode("utf-8", "replace")
    except (OSError, TimeoutError, IndexError, ValueError):
        return 0, ""
    finally:
        if writer is not None:
            writer.close()


async def listening(host: str, port: int, seconds: float = 3.0) -> bool:
    """Tell whether something accepts connections there."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def bindable(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
        return True
