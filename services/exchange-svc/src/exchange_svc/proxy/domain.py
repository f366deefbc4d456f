"""Rules of asking a department's interface: by what, and where it may lie."""

from collections.abc import Collection, Sequence
from urllib.parse import parse_qsl, urlsplit

from exchange_svc.destinations import Address, Network, is_allowed
from exchange_svc.proxy.errors import QuestionInvalid

_MOST_CHARACTERS = 200


def check_question(asked: Sequence[tuple[str, str]], *, items: Collection[str], masked: Collection[str], address: str) -> None:
    """Let rows be asked for by granted items that are shown as they are: by a masked one its values could be found out.

    Raises: QuestionInvalid (422) naming each parameter.
    """
    fixed = {name for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
    allowed = sorted(set(items) - set(masked) - fixed)
    errors = []
    seen: set[str] = set()
    for name, value in asked:
        detail = None
        if name not in allowed:
            ways = ", ".join(allowed) or "none"
            detail = f"{name[:_MOST_CHARACTERS]!r} is not an item by which rows may be asked for; the grant allows {ways}"
        elif name in seen:
            detail = f"{name!r} is given twice; give it once"
        elif len(value) > _MOST_CHARACTERS:
            detail = f"the value of {name!r} has more than {_MOST_CHARACTERS} characters"
        seen.add(name)
        if detail:
            errors.append({"pointer": f"query:{name[:_MOST_CHARACTERS]}", "detail": detail})
    if errors:
        raise QuestionInvalid("; ".join(error["detail"] for error in errors[:10]), errors=errors[:100])


def may_lie_at(address: Address, allowed: Sequence[Network]) -> bool:
    """Say whether an interface may be at an IP address: private ones were confirmed, the host's own services and groups are none."""
    is_own = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return not is_own or is_allowed(address, allowed)
