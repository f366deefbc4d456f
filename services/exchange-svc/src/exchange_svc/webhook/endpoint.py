"""The requester's address: asked whether it agrees, and posted to; only ever at an address that was looked at, and never further."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from exchange_svc.destinations import Network, is_allowed, resolve
from exchange_svc.outbound import asked, port_of
from exchange_svc.subscription.errors import SubscriptionInvalid
from exchange_svc.webhook.errors import EndpointUnproven

_ORIGIN = "WebHook-Request-Origin"
_ALLOWED = "WebHook-Allowed-Origin"
_MOST_PORT = 65_535
_MOST_SAID = 200  # characters of what an address answered that are told


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the body is never read."""

    status: int
    retry_after: str | None
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How addresses are met: in which networks also, for how long, and in whose name."""

    allowed: Sequence[Network]
    seconds: float
    origin: str

    async def prove(self, url: str) -> None:
        """Ask an address whether it takes messages of this node.

        Raises: SubscriptionInvalid, DestinationUnknown, DestinationRefused, EndpointUnproven (422).
        Source: CloudEvents HTTP 1.1 Web Hooks, section 4 (abuse protection).
        """
        try:
            answer, told = await self._send("OPTIONS", url, {_ORIGIN: self.origin}, b"")
        except (httpx.HTTPError, OSError, TimeoutError) as silent:
            raise _unproven(f"{url} does not answer OPTIONS: {say(silent)}; start it and try again") from silent
        allowed = {one.strip() for one in told.get(_ALLOWED, "").split(",")}
        if not 200 <= answer.status < 300 or allowed.isdisjoint({self.origin, "*"}):
            said = ", ".join(sorted(allowed - {""}))[:_MOST_SAID] or "nothing"
            raise _unproven(
                f"{url} answered OPTIONS with {answer.status} and {_ALLOWED}: {said}; answer 200 with {_ALLOWED}: {self.origin} (or *)"
            )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post a message and return what the first lines of the answer say.

        Raises: httpx.HTTPError, OSError, TimeoutError; SubscriptionInvalid, DestinationUnknown, DestinationRefused.
        """
        answer, _ = await self._send("POST", url, headers, body)
        return answer

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Answer, httpx.Headers]:
        target = check_url(url)
        started = time.monotonic()
        async with asyncio.timeout(self.seconds):  # of the whole: an answer a byte at a time is no answer
            address = await resolve(target.host, port_of(target), self.allowed)
            if target.scheme != "https" and not is_allowed(address, self.allowed):
                raise SubscriptionInvalid.at("/url", "is without TLS: write https://, or ask the node's operator to allow the network")
            async with asked(address, method, target, headers, body) as answer:
                elapsed_ms = int((time.monotonic() - started) * 1000)
                return Answer(answer.status_code, answer.headers.get("Retry-After"), elapsed_ms), answer.headers


def check_url(url: str) -> httpx.URL:
    """Return an address that may be a webhook. Raises SubscriptionInvalid (422)."""

    def refused(why: str) -> SubscriptionInvalid:
        return SubscriptionInvalid.at("/url", why)

    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as wrong:
        raise refused(f"is no URL: {wrong}") from wrong
    if found.scheme not in ("https", "http") or not found.host:
        raise refused("is no web address: write https://host/path")
    if (found.port or 0) > _MOST_PORT:
        raise refused(f"is no URL: port {found.port} is above {_MOST_PORT}")
    if found.userinfo:
        raise refused("holds a user or password: leave them out; messages are proven by their signature")
    if "#" in url:
        raise refused("has a fragment (#…), which is never sent: leave it out")
    return found


def say(error: BaseException) -> str:
    """Return what went wrong on the way to an address."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no whole answer in time"
    return f"{type(error).__name__}: {error}"[:300]


def _unproven(detail: str) -> EndpointUnproven:
    return EndpointUnproven.at("/url", detail)
