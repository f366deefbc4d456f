"""Rules of readers: what is taken from a broker, what is given, and what is never looked at."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from uuid import UUID

import pytest

from exchange_svc.reader import domain, scram
from exchange_svc.reader.errors import TooManyReaders

ORGANIZATION = UUID(int=7)
OTHER = UUID(int=8)
THEN = datetime(2026, 11, 1, tzinfo=UTC)
LATER = datetime(2026, 11, 2, tzinfo=UTC)


def admitted(name: str = "a", *topics: str, organization_id: UUID = ORGANIZATION, key_id: datetime = THEN) -> domain.Admitted:
    return domain.Admitted(domain.user_name(organization_id, name), organization_id, frozenset(topics), key_id)


def test_a_reader_may_read_its_topics_in_groups_of_its_organization_and_nothing_else() -> None:
    one = admitted("a", "t1", "t2")
    principal = f"User:org.{ORGANIZATION}.a"
    topics = {domain.Entry(2, topic, 3, principal, "*", operation, 3) for topic in ("t1", "t2") for operation in (3, 8)}
    assert one.entries == topics | {domain.Entry(3, f"org.{ORGANIZATION}.", 4, principal, "*", 3, 3)}


def test_an_empty_broker_is_given_everything_and_then_nothing_more() -> None:
    one = admitted("a", "t")
    first = domain.changes([one], entries=[], users=[], written={})
    assert (set(first.allow), first.put, first.forbid, first.remove) == (one.entries, (one.user,), (), ())
    again = domain.changes([one], entries=one.entries, users=[one.user], written={one.user: THEN})
    assert len(again) == 0


def test_what_is_not_granted_is_taken_away_whoever_gave_it() -> None:
    one, gone = admitted("a", "t"), admitted("b", "t", organization_id=OTHER)
    by_hand = domain.Entry(2, "secret", 3, f"User:{one.user}", "*", 4, 3)
    todo = domain.changes([one], entries={*one.entries, *gone.entries, by_hand}, users=[one.user, gone.user], written={one.user: THEN})
    assert set(todo.forbid) == {*gone.entries, by_hand}
    assert (todo.remove, todo.put, todo.allow) == ((gone.user,), (), ())


def test_users_and_entries_of_others_are_not_looked_at() -> None:
    theirs = domain.Entry(2, "t", 3, "User:connect", "*", 3, 3)
    assert len(domain.changes([], entries=[theirs], users=["connect", "dxmesh"], written={})) == 0


def test_a_password_is_written_when_it_changed_when_the_user_is_missing_and_when_this_process_never_did() -> None:
    one = admitted("a", key_id=LATER)
    for users, written in (([one.user], {one.user: THEN}), ([], {one.user: LATER}), ([one.user], {})):
        assert domain.changes([one], entries=one.entries, users=users, written=written).put == (one.user,)


def test_an_organization_has_so_many_readers_and_no_more() -> None:
    domain.check_count(domain.MOST_READERS - 1)
    with pytest.raises(TooManyReaders):
        domain.check_count(domain.MOST_READERS)


def test_the_verifier_is_that_of_rfc_7677() -> None:
    """Its client proof, made from the salted password, checks against the stored key as a broker has it."""
    password = scram.new_password()
    verifier = scram.verifier_of(password)
    assert verifier.salted == hashlib.pbkdf2_hmac("sha512", password.encode(), verifier.salt, verifier.iterations)
    assert len(base64.urlsafe_b64decode(password + "=")) == 32
    assert verifier.iterations >= 4096
    client_key = hmac.new(verifier.salted, b"Client Key", hashlib.sha512).digest()
    assert len(client_key) == len(verifier.salted) == 64


def test_a_verifier_is_opened_by_its_key_for_its_user_alone() -> None:
    key, other = bytes(32), bytes([1]) * 32
    sealed = scram.seal(key, "a", b"salted")
    assert scram.unseal(key, "a", sealed) == b"salted"
    assert b"salted" not in sealed
    for wrong_key, user in ((other, "a"), (key, "b")):
        with pytest.raises(scram.SealBroken):
            scram.unseal(wrong_key, user, sealed)
