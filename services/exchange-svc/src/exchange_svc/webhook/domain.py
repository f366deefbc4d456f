"""Rules of webhooks: the message made of records, its signature, secrets, and what an answer's Retry-After asks for."""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

from dxmesh_schemas.catalog import Snapshot
from exchange_svc.subscription.domain import Row, view_of

MEDIA_TYPE = "application/cloudevents-batch+json"
CHANGED, DELETED = "dxmesh.row.changed.v1", "dxmesh.row.deleted.v1"
ROTATION = timedelta(hours=24)
"""How long a secret that was replaced signs beside its successor."""
_PREFIX = "whsec_"
_SECRET_BYTES = 32


class Secrets(Snapshot):
    """What signs a webhook's messages: the secret, and the one before it until then."""

    secret: str
    former: str | None = None
    former_until: datetime | None = None

    def at(self, now: datetime) -> list[str]:
        """Return the secrets that sign at a time, newest first."""
        former = [self.former] if self.former is not None and self.former_until is not None and now < self.former_until else []
        return [self.secret, *former]

    def rotated(self, now: datetime) -> "Secrets":
        """Return a new secret beside this one."""
        return Secrets(secret=new_secret(), former=self.secret, former_until=now + ROTATION)


def new_secret() -> str:
    """Return a fresh secret (Standard Webhooks: `whsec_` and base64 of 24 to 64 random bytes)."""
    return _PREFIX + base64.b64encode(os.urandom(_SECRET_BYTES)).decode()


def signature(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature`: for each secret `v1,` and HMAC-SHA-256 over id, timestamp and body, in base64.

    Source: Standard Webhooks, "Signature scheme", symmetric.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    keys = [base64.b64decode(secret.removeprefix(_PREFIX)) for secret in secrets]
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)


def headers(message_id: UUID, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of a message; a repeat of it has the same `webhook-id`."""
    named = f"msg_{message_id.hex}"
    return {
        "Content-Type": f"{MEDIA_TYPE}; charset=utf-8",
        "webhook-id": named,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secrets, named, timestamp, body),
    }


def body_of(rows: Iterable[Row]) -> bytes:
    """Return rows as one CloudEvents batch (JSON format, section 4), in their order: one event a row.

    An event a row, because its id can then be the same whenever and in whatever company it is sent: view, batch and row number name
    it, so a receiver leaves out by (source, id) what it has had, also after a replay. `data` is the record's value as it is on the
    topic, byte for byte.
    """
    return b"[" + b",\n".join(map(_event, rows)) + b"]"


def _event(row: Row) -> bytes:
    attributes = {
        "specversion": "1.0",
        "id": f"{row.batch}/{row.number}",
        "source": f"/exchange-svc/views/{view_of(row.topic)}",
        "type": DELETED if row.value is None else CHANGED,
        "time": row.time.isoformat().replace("+00:00", "Z"),
        **({"subject": row.key} if row.key else {}),
        "dataschema": row.schema,
        "topicpartition": row.partition,
        "topicoffset": str(row.offset),  # a CloudEvents integer has 32 bits
    }
    head = json.dumps(attributes, ensure_ascii=False, separators=(",", ":")).encode()
    if row.value is None:
        return head
    return head[:-1] + b',"datacontenttype":"application/json","data":' + row.value + b"}"


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds an answer asks to wait (RFC 9110 section 10.2.3: seconds, or a time); None when it says nothing readable."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
