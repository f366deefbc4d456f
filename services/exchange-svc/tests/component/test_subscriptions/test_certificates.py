"""Certificates of webhooks and of requesters' databases, checked for the name that was given; and a bound for what a database sends."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from exchange_svc.outbound import trust

SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `localhost` that nobody has signed but itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture(autouse=True)
def fresh_trust() -> Iterator[None]:
    trust.cache_clear()
    yield
    trust.cache_clear()


@dataclass
class Server:
    """A webhook, or a database that is entered no further than its first message; `seen`: what came over TLS."""

    port: int = 0
    seen: list[bytes] = field(default_factory=list)


async def serving(certificate: Path, *, is_database: bool) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    found = Server()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if is_database:
                assert await reader.readexactly(8) == SSL_REQUEST
                writer.write(b"S")
            await writer.start_tls(context)
            found.seen.append(await reader.read(4096))
            writer.write(b"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nContent-Length: 0\r\n\r\n" if not is_database else b"")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


@pytest.fixture
async def webhook(certificate: Path) -> AsyncIterator[Server]:
    async for one in serving(certificate, is_database=False):
        yield one


@pytest.fixture
async def database(certificate: Path) -> AsyncIterator[Server]:
    async for one in serving(certificate, is_database=True):
        yield one


async def opened(node: Any, body: dict[str, Any]) -> Any:
    grant = await node.exchange.granted(await node.exchange.publish())
    return await node.post(f"/v1/grants/{grant['grant_id']}/subscriptions", body)


async def test_a_webhook_whose_certificate_nobody_vouches_for_is_refused(node: Any, webhook: Server) -> None:
    answer = await opened(node, {"mode": "webhook", "url": f"https://localhost:{webhook.port}/rows"})
    assert (answer.status_code, "CERTIFICATE_VERIFY_FAILED" in answer.text, webhook.seen) == (422, True, []), answer.text


async def test_a_webhook_shows_the_certificate_of_its_own_name(
    node: Any, webhook: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    refused = await opened(node, {"mode": "webhook", "url": f"https://127.0.0.1:{webhook.port}/rows"})
    assert (refused.status_code, "CERTIFICATE_VERIFY_FAILED" in refused.text, webhook.seen) == (422, True, [])
    answer = await opened(node, {"mode": "webhook", "url": f"https://localhost:{webhook.port}/rows"})
    assert answer.status_code == 201, answer.text
    assert f"\r\nHost: localhost:{webhook.port}\r\n".encode() in webhook.seen[0]


def table(port: int, host: str, tls: str = "") -> dict[str, Any]:
    return {"mode": "table", "url": f"postgresql://u:p@{host}:{port}/d{tls}", "table": "t"}


async def test_a_database_whose_certificate_nobody_vouches_for_is_told_nothing(node: Any, database: Server) -> None:
    for tls in ("", "?sslmode=verify-full"):
        answer = await opened(node, table(database.port, "localhost", tls))
        assert (answer.status_code, "SSLCertVerificationError" in answer.text, database.seen) == (422, True, []), answer.text


async def test_a_database_shows_the_certificate_of_its_own_name(
    node: Any, database: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    refused = await opened(node, table(database.port, "127.0.0.1"))
    assert ("SSLCertVerificationError" in refused.text, database.seen) == (True, [])
    entered = await opened(node, table(database.port, "localhost"))
    assert entered.status_code == 422
    [startup] = database.seen
    assert b"user\0u\0" in startup


@pytest.mark.parametrize("tls", ["disable", "require"])
async def test_a_database_that_sends_without_end_is_let_go_before_it_fills_the_memory(node: Any, certificate: Path, tls: str) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    sent: list[int] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if tls == "require":
            assert await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(context)
        await reader.read(1000)
        writer.write(b"N" + (2**31 - 1).to_bytes(4, "big"))  # a notice of two gigabytes
        count = 0
        try:
            while count < 1 << 30:
                writer.write(bytes(65536))
                await writer.drain()
                await asyncio.sleep(0)  # a drain that waits for nothing does not hear either that the other end has gone
                count += 65536
        except OSError:
            pass
        sent.append(count)
        writer.transport.abort()

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        url = f"postgresql://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/d?sslmode={tls}"
        body = {"mode": "table", "url": url, "table": "streets", "create": True}
        answer = await node.post(f"/v1/grants/{grant['grant_id']}/subscriptions", body)
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, "database-away")
        async with asyncio.timeout(10):
            while not sent:
                await asyncio.sleep(0.01)
    assert sent[0] < 100 << 20, "what the driver may have, and what was under way"
