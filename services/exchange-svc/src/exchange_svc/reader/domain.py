"""Rules of readers: their names, what Kafka lets each do, and what is to be changed on a broker until it is so."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from exchange_svc.reader.errors import ReaderRevoked, TooManyReaders

MOST_READERS = 50
_OURS = "org."
_PRINCIPAL = "User:"
_ANYWHERE = "*"


class State(StrEnum):
    """Where a reader is; `waiting`: no grant lets it read a topic now, so the broker does not know it."""

    ACTIVE = "active"
    WAITING = "waiting"
    REVOKED = "revoked"


class ResourceType(IntEnum):
    """What an access entry is about, in Kafka's numbers (org.apache.kafka.common.resource.ResourceType)."""

    TOPIC = 2
    GROUP = 3


class Pattern(IntEnum):
    """How an entry names it (PatternType)."""

    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """What an entry is for (AclOperation)."""

    READ = 3
    DESCRIBE = 8


ALLOW = 3
"""AclPermissionType."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One entry of the broker's access list, as Kafka's protocol has it."""

    resource_type: int
    name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A reader as the broker has to know it. key_id: changes whenever its password does."""

    user: str
    organization_id: UUID
    topics: frozenset[str]
    key_id: datetime

    @property
    def entries(self) -> set[Entry]:
        """Return all it may do: read the topics of its organization's grants, in consumer groups of its organization."""
        principal = _PRINCIPAL + self.user
        of_topics = {
            Entry(ResourceType.TOPIC, topic, Pattern.LITERAL, principal, _ANYWHERE, operation, ALLOW)
            for topic in self.topics
            for operation in Operation
        }
        prefix = group_prefix(self.organization_id)
        return of_topics | {Entry(ResourceType.GROUP, prefix, Pattern.PREFIXED, principal, _ANYWHERE, Operation.READ, ALLOW)}


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done on a broker, in this order: what takes away first."""

    forbid: tuple[Entry, ...]
    remove: tuple[str, ...]
    put: tuple[str, ...]
    allow: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.forbid) + len(self.remove) + len(self.put) + len(self.allow)


def user_name(organization_id: UUID, name: str) -> str:
    """Return the Kafka user of an organization's reader."""
    return f"{group_prefix(organization_id)}{name}"


def group_prefix(organization_id: UUID) -> str:
    """Return what the consumer groups of an organization's readers begin with."""
    return f"{_OURS}{organization_id}."


def state_of(*, revoked: bool, may_read: bool) -> State:
    """Return a reader's state."""
    if revoked:
        return State.REVOKED
    return State.ACTIVE if may_read else State.WAITING


def check_rotatable(*, revoked: bool) -> None:
    """Let a reader have a new password. Raises ReaderRevoked (409)."""
    if revoked:
        raise ReaderRevoked("the reader was revoked; register another one")


def check_count(count: int) -> None:
    """Let an organization have one more reader. Raises TooManyReaders (409)."""
    if count >= MOST_READERS:
        raise TooManyReaders(f"an organization has {MOST_READERS} readers at most: revoke those that are not used")


def changes(wanted: Iterable[Admitted], *, entries: Collection[Entry], users: Collection[str], written: Mapping[str, datetime]) -> Changes:
    """Return what makes a broker's users and access entries those wanted; others than readers' are not looked at.

    written: the key_id of each user's password as it was last written to this broker; a broker does not tell what it holds.
    """
    admitted = {one.user: one for one in wanted}
    right = {entry for one in admitted.values() for entry in one.entries}
    found = {entry for entry in entries if entry.principal.startswith(_PRINCIPAL + _OURS)}
    known = {user for user in users if user.startswith(_OURS)}
    stale = {one.user for one in admitted.values() if one.user not in known or written.get(one.user) != one.key_id}
    return Changes(
        forbid=tuple(sorted(found - right)),
        remove=tuple(sorted(known - admitted.keys())),
        put=tuple(sorted(stale)),
        allow=tuple(sorted(right - found)),
    )
