"""The bytes of an entry and of an entry bundle."""

import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_svc.log import domain
from audit_svc.log.errors import EntryTooLarge
from dxmesh_schemas.event import Meta

META = Meta(UUID(int=7), "dxmesh.exchange.batch.received.v1", "/exchange-svc", datetime(2026, 11, 22, 8, 30, 0, 123, tzinfo=UTC), "批次/1")


def test_an_entry_is_one_canonical_line_that_commits_to_the_payload():
    entry = domain.entry_bytes(META, topic="dxmesh.exchange.batch", key="k", payload=b'{"a": 1}')
    digest = sha256(b'{"a": 1}').hexdigest()
    assert entry.decode() == (
        '{"id":"00000000-0000-0000-0000-000000000007","key":"k","payload_sha256":"'
        + digest
        + '","source":"/exchange-svc","subject":"批次/1",'
        '"time":"2026-11-22T08:30:00.000123+00:00","topic":"dxmesh.exchange.batch","type":"dxmesh.exchange.batch.received.v1"}'
    )


def test_absent_key_and_subject_are_left_out_and_the_time_is_utc():
    east = Meta(UUID(int=7), "t", "/s", datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))))
    entry = json.loads(domain.entry_bytes(east, topic="x", key=None, payload=b""))
    assert set(entry) == {"id", "payload_sha256", "source", "time", "topic", "type"}
    assert entry["time"] == "2026-01-01T00:00:00+00:00"


@given(st.text(), st.text(), st.binary(max_size=64))
def test_any_attribute_text_survives_in_one_line(subject, key, payload):
    try:
        subject.encode(), key.encode()
    except UnicodeEncodeError:
        return
    entry = domain.entry_bytes(Meta(UUID(int=1), "t", "/s", META.time, subject), topic="x", key=key, payload=payload)
    assert b"\n" not in entry
    read = json.loads(entry)
    assert entry == json.dumps(read, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert (read["subject"], read["key"], read["payload_sha256"]) == (subject, key, sha256(payload).hexdigest())


def test_attributes_too_long_for_an_entry_bundle_are_a_named_problem():
    fits = Meta(META.event_id, "t", "/s", META.time, "x" * 65_000)
    assert len(domain.entry_bytes(fits, topic="x", key=None, payload=b"")) <= 0xFFFF
    with pytest.raises(EntryTooLarge, match="an entry holds 65535"):
        domain.entry_bytes(Meta(META.event_id, "t", "/s", META.time, "x" * 65_535), topic="x", key=None, payload=b"")


def test_a_bundle_puts_each_entry_behind_its_length():
    assert domain.bundle([b"ab", b"", b"c" * 300]) == b"\x00\x02ab\x00\x00\x01\x2c" + b"c" * 300
