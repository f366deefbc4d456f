"""Asking others over HTTP: at the address that was looked at, by the authorities this host trusts, and never further."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache

import httpx

from exchange_svc.destinations import Address


@cache
def trust() -> ssl.SSLContext:
    """Return how the certificates of others are checked: by the authorities this host trusts (SSL_CERT_FILE adds an operator's own).

    Made once: reading the authorities takes as long as posting a hundred messages.
    """
    return ssl.create_default_context()


@asynccontextmanager
async def asked(
    address: Address, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None = None
) -> AsyncIterator[httpx.Response]:
    """Give the head of an answer from this very address, whatever the name means by now; the certificate has to be the name's.

    Neither a redirect nor a proxy is followed, and nothing compressed is asked for. Call it within a time limit. Raises: httpx.HTTPError.
    """
    told = {"User-Agent": "dxmesh", "Accept-Encoding": "identity", **headers, "Host": url.netloc.decode("ascii")}
    async with (
        httpx.AsyncClient(verify=trust(), trust_env=False, follow_redirects=False, timeout=None) as client,
        client.stream(
            method,
            url.copy_with(host=str(address)),
            content=content,
            headers=told,
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        ) as answer,
    ):
        yield answer


def port_of(url: httpx.URL) -> int:
    """Return the port that a web address means."""
    return url.port or (443 if url.scheme == "https" else 80)
