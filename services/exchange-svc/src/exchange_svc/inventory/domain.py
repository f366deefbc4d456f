"""Rules of the inventory: kinds of channels, the states of those from before the node, and when a job is silent."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from exchange_svc.inventory.errors import ChannelInvalid, ChannelStepIllegal

SILENT_AFTER = timedelta(hours=24)


class Kind(StrEnum):
    """How rows come over a channel."""

    FOLDER = "folder"  # an agent's job
    TABLE = "table"  # an agent's job
    LEGACY = "legacy"  # from before the node: an FTP server, a front-end database, a message queue of its own


class State(StrEnum):
    """Where a channel is."""

    WORKING = "working"  # a job, by its last report
    FAILING = "failing"
    TO_CONSOLIDATE = "to_consolidate"  # a channel from before the node
    CONSOLIDATED = "consolidated"  # its rows come over the node too
    RETIRED = "retired"  # it carries nothing any more


JOBS = (Kind.FOLDER, Kind.TABLE)
_STEPS = {
    State.TO_CONSOLIDATE: (State.CONSOLIDATED, State.RETIRED),
    State.CONSOLIDATED: (State.TO_CONSOLIDATE, State.RETIRED),
}


def check_step(kind: Kind, state: State, to: State, resource_id: UUID | None) -> None:
    """Let a channel from before the node go on. Raises: ChannelStepIllegal (409), ChannelInvalid (422)."""
    if kind is not Kind.LEGACY:
        raise ChannelStepIllegal("the state of an agent's job is what it reports; only channels from before the node are moved by hand")
    allowed = _STEPS.get(state, ())
    if to not in allowed:
        ways = " or ".join(allowed) or "nowhere: enter it anew if it carries rows again"
        raise ChannelStepIllegal(f"the channel is {state} and cannot become {to}; it can go to {ways}", state=state.value)
    if to is State.CONSOLIDATED and resource_id is None:
        raise ChannelInvalid.at("/resource_id", "name the resource that carries its rows now: a channel is consolidated into something")


def is_silent(kind: Kind, seen_at: datetime | None, now: datetime) -> bool:
    """Say whether a job has not reported for a day: an agent reports at least once an hour."""
    return kind in JOBS and (seen_at is None or now - seen_at > SILENT_AFTER)
