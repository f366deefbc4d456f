"""Rules of packages: states, when the next is due, and who may still fetch one."""

from datetime import datetime, timedelta
from enum import StrEnum

from exchange_svc.package.errors import PackageGone, PackageWaiting

MOST_KEPT = 50
"""Packages of one subscription that can be fetched; the oldest gives way to the next, whatever its term."""


class State(StrEnum):
    """Where a package is."""

    WAITING = "waiting"
    READY = "ready"
    DELETED = "deleted"


def is_due(every_hours: int | None, last_asked_at: datetime | None, now: datetime) -> bool:
    """Say whether a subscription's next package is to be made: the first at once, then one each period."""
    if every_hours is None:
        return False
    return last_asked_at is None or now - last_asked_at >= timedelta(hours=every_hours)


def check_fetchable(state: State, *, expires_at: datetime | None, downloads_left: int, now: datetime) -> None:
    """Let a package be fetched that is ready. Raises: PackageWaiting (409), PackageGone (410)."""
    if state is State.WAITING:
        raise PackageWaiting("the package is being made; try again in a few seconds")
    if state is State.DELETED or (expires_at is not None and expires_at <= now):
        raise PackageGone("the package's term is over, or the grant's terms are others since it was made; ask for another")
    if downloads_left < 1:
        raise PackageGone("the package was fetched as often as it may be; ask for another")
