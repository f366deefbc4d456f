"""Rules of calling shared APIs: which systems may, how often, and what an API asks of its callers."""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.api.errors import CountsUsedUp, RateExceeded, SystemNotAdmitted

HEADER = "X-System"
DAY = timedelta(days=1)


class Api(StrEnum):
    """The APIs that every resource has."""

    PULL = "pull"
    VERIFY = "verify"

    @property
    def mode(self) -> Mode:
        """Return the way that a grant has to allow."""
        return Mode(self.value)


_ADDRESSES = {
    Api.PULL: ("/v1/grants/{grant_id}/rows", "/v1/grants/{grant_id}/changes"),
    Api.VERIFY: ("/v1/grants/{grant_id}/verification", "/v1/grants/{grant_id}/count"),
}
_PROXY = "/v1/grants/{grant_id}/proxy"


def addresses(api: Api, *, is_proxied: bool) -> tuple[str, ...]:
    """Return where an API is called, the grant's id to be put in; is_proxied: the department's own interface is asked for rows too."""
    return (*_ADDRESSES[api], _PROXY) if is_proxied and api is Api.PULL else _ADDRESSES[api]


def check_system(system_id: UUID | None, *, is_own: bool, admitted: Collection[UUID]) -> None:
    """Let a call through that names a system of the requester's that the grant is for; where it is for all, none need be named.

    Raises: SystemNotAdmitted (403) naming the system and those that may.
    """
    if system_id is not None and not is_own:
        raise SystemNotAdmitted(
            f"system {system_id} is not one in service of your organization's, or its entry has not arrived yet; "
            f"name one of your own in {HEADER}, or leave it out"
        )
    if admitted and system_id not in admitted:
        named = "the call names none" if system_id is None else f"the call names {system_id}"
        raise SystemNotAdmitted(
            f"the grant is for the systems {', '.join(map(str, admitted))}, and {named}; send {HEADER} with one of them"
        )


def minute_of(now: datetime) -> datetime:
    """Return the beginning of the minute whose calls are counted together."""
    return now.replace(second=0, microsecond=0)


def rate_exceeded(limit: int, now: datetime) -> RateExceeded:
    """Return the refusal of a call above the rate; it says when the next minute begins."""
    return RateExceeded(
        f"the grant allows {limit} calls a minute, and they are used up; come again in the next one, or ask the provider for more",
        retry_after_seconds=60 - now.second,
    )


def counts_used_up(limit: int, *, until: datetime, now: datetime) -> CountsUsedUp:
    """Return the refusal of a count above the day's number; it says when the next day begins."""
    return CountsUsedUp(
        f"the grant has asked for its {limit} different counts of this day; those asked before are still answered, others tomorrow",
        retry_after_seconds=max(1, int((until - now).total_seconds())),
    )


def requirements(api: Api) -> list[str]:
    """Return what an API asks of its callers, in words."""
    common = [
        f"a grant of the resource in force whose terms allow the mode {api.mode.value}",
        "a token of the organization that holds the grant",
        f"where the grant names systems: the header {HEADER} with the id of one of them",
        "at most the calls a minute that the grant allows",
    ]
    if api is Api.VERIFY:
        common.append("questions name granted items that are not masked; a question about a person or firm names its key or identifier")
    return common
