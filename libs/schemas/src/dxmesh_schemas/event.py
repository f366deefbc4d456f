"""The event base, its registry, and CloudEvents 1.0 binary mode over Kafka headers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

Headers = Sequence[tuple[str, bytes]]

_REGISTRY: dict[str, type["Event"]] = {}


class Event(BaseModel):
    """A fact on the wire: the payload only; its metadata travels as `ce_*` headers (`Meta`).

    Concrete events set TYPE; their noun's base sets TOPIC, KEY and SOURCE. Fields may only be added, and only as optional ones.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str] = ""
    TOPIC: ClassVar[str]
    KEY: ClassVar[str]  # the field whose value is the record's key: order holds per key
    SOURCE: ClassVar[str]  # the only emitter

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Enter a concrete event into the registry; two classes of one type are a programming error."""
        super().__pydantic_init_subclass__(**kwargs)
        if "TYPE" not in cls.__dict__:
            return
        if cls.TYPE in _REGISTRY:
            raise TypeError(f"{cls.TYPE} is defined twice: {_REGISTRY[cls.TYPE].__qualname__} and {cls.__qualname__}")
        _REGISTRY[cls.TYPE] = cls

    @property
    def key(self) -> str:
        """Return the record key: the aggregate's id as text."""
        return str(getattr(self, self.KEY))

    def encode(self) -> bytes:
        """Return the payload as UTF-8 JSON; these bytes are what is stored, sent, hashed and audited."""
        return self.model_dump_json().encode()

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse a payload. Raises pydantic.ValidationError."""
        return cls.model_validate_json(payload)


class NotACloudEvent(ValueError):
    """A record lacks a header that CloudEvents 1.0 requires, or carries one that cannot be read."""


@dataclass(frozen=True, slots=True)
class Meta:
    """The context attributes of one event (CloudEvents 1.0 section 3)."""

    event_id: UUID
    event_type: str
    source: str
    time: datetime
    subject: str | None = None
    traceparent: str | None = None

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the Kafka headers of binary content mode (CloudEvents Kafka protocol binding section 3.2)."""
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(self.event_id).encode()),
            ("ce_type", self.event_type.encode()),
            ("ce_source", self.source.encode()),
            ("ce_time", self.time.isoformat().encode()),
            ("content-type", b"application/json"),
        ]
        if self.subject is not None:
            headers.append(("ce_subject", self.subject.encode()))
        if self.traceparent is not None:
            headers.append(("traceparent", self.traceparent.encode()))
        return headers

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes]]) -> Self:
        """Read the context attributes. Raises NotACloudEvent naming the header that is wrong."""
        found = dict(headers)
        try:
            if found["ce_specversion"] != b"1.0":
                raise NotACloudEvent(f"ce_specversion is {found['ce_specversion']!r}, not 1.0")
            return cls(
                event_id=UUID(found["ce_id"].decode()),
                event_type=found["ce_type"].decode(),
                source=found["ce_source"].decode(),
                time=datetime.fromisoformat(found["ce_time"].decode()),
                subject=found["ce_subject"].decode() if "ce_subject" in found else None,
                traceparent=found["traceparent"].decode() if "traceparent" in found else None,
            )
        except KeyError as missing:
            raise NotACloudEvent(f"the header {missing.args[0]} is missing") from missing
        except (ValueError, UnicodeDecodeError) as wrong:
            raise NotACloudEvent(f"a ce_ header cannot be read: {wrong}") from wrong


def event_class(event_type: str) -> type[Event] | None:
    """Return the class registered for a type, or None for a type this build does not know."""
    return _REGISTRY.get(event_type)


def event_classes() -> list[type[Event]]:
    """Return every registered event class, by type; import `dxmesh_schemas.events` first to have them all."""
    return [_REGISTRY[name] for name in sorted(_REGISTRY)]
