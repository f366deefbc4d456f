"""Rules of mounts: the two kinds, how each is shown to supply data, and how old data may be."""

import ipaddress
import re
from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from dxmesh_schemas import text
from dxmesh_schemas.problem import Fault

MAX_ADDRESS = 2000
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_SECRET = re.compile(
    r"passw|pwd|secret|token|credential|signature|api[-_]?key|app[-_]?key|access[-_]?key|private[-_]?key|^(sig|sign|auth|key|ak|sk)$"
)


class MountKind(StrEnum):
    """How a resource's data are reached (X02)."""

    REPLICA = "replica"  # physical aggregation: batches are sent here
    PROXY = "proxy"  # logical access: a service interface of the provider, nothing is copied


class MountState(StrEnum):
    """How far a published resource has come from catalogue to data."""

    UNMOUNTED = "unmounted"
    DECLARED = "declared"  # the provider's steward said how; nothing shows yet that data come
    SUPPLIED = "supplied"  # a batch was accepted, or the data authority confirmed that the interface answers


class MountStep(StrEnum):
    """What happens to a mount."""

    MOUNTED = "mounted"
    CONFIRMED = "confirmed"
    REMOVED = "removed"


def state(kind: MountKind | None, *, has_batch: bool, is_confirmed: bool) -> MountState:
    """Return how far a resource has come: a replica is shown by its batches, a proxy by the authority's confirmation."""
    if kind is None:
        return MountState.UNMOUNTED
    shown = has_batch if kind is MountKind.REPLICA else is_confirmed
    return MountState.SUPPLIED if shown else MountState.DECLARED


def faults(kind: MountKind, address: str | None) -> Iterator[Fault]:
    """Yield (JSON pointer, what is wrong and what to do) for a mount that is declared."""
    if kind is MountKind.REPLICA and address is not None:
        yield "/address", "belongs to a proxy; batches of a replica are sent to this node: leave it out"
    if kind is MountKind.PROXY and address is None:
        yield "/address", "is missing: write the http or https address of the service interface"
    if kind is MountKind.PROXY and address is not None and (wrong := address_fault(address)) is not None:
        yield "/address", wrong


def address_fault(address: str) -> str | None:
    """Say what is wrong with the address of a service interface, or None: its shape alone is looked at, nothing is called.

    Private addresses are good: interfaces of departments live in government networks.
    """
    if not address.strip():
        return "is empty; write the http or https address of the service interface"
    if len(address) > MAX_ADDRESS:
        return f"has {len(address)} characters; at most {MAX_ADDRESS} are kept"
    if not address.isascii() or " " in address or "\\" in address or text.unseen(address) is not None:
        return "holds a blank, a backslash or a character outside ASCII; write it percent-encoded, a host name in punycode"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as wrong:
        return f"is no address: {wrong}"
    if parts.scheme not in ("http", "https"):
        return "does not begin with http:// or https://"
    if "@" in parts.netloc:
        return "carries a user name or password before the host; credentials do not belong in the catalogue: leave them out"
    if not host or not _is_host(host):
        return "names no host; write a name or an IP address behind ://"
    if port == 0:
        return "has the port 0; write 1 to 65535"
    if "#" in address:
        return "has a fragment, which is never sent; leave out # and what follows"
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if _SECRET.search(name.lower()):
            return f"carries a credential in the parameter {name!r}; credentials do not belong in the catalogue: leave it out"
    return None


def _is_host(host: str) -> bool:
    if ":" in host or host.rsplit(".", 1)[-1].isdigit():
        try:
            return not ipaddress.ip_address(host).is_unspecified
        except ValueError:
            return False
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))
