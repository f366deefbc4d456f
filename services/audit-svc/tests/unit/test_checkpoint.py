"""Checkpoints: the text, the key and the signature are those of C2SP signed-note and tlog-checkpoint."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_svc.checkpoint import domain
from audit_svc.checkpoint.domain import Head, Signer

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer("dxmesh.example/local", KEY)
HEAD = Head(23, sha256(b"root").digest())
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_the_key_id_and_verifier_key_are_those_of_the_signed_note_example():
    # PeterNeumann's key of the golang.org/x/mod/sumdb/note documentation.
    public = b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]
    assert domain.key_id("PeterNeumann", public).hex() == "c74f20a3"


def test_a_checkpoint_has_origin_size_root_and_one_signature_line():
    note = SIGNER.sign(HEAD)
    lines = note.split("\n")
    assert lines[:4] == ["dxmesh.example/local", "23", b64encode(HEAD.root_hash).decode(), ""]
    assert lines[4].startswith("— dxmesh.example/local ")
    assert lines[5:] == [""]
    signature = b64decode(lines[4].split(" ")[2])
    assert len(signature) == 68
    KEY.public_key().verify(signature[4:], b"dxmesh.example/local\n23\n" + b64encode(HEAD.root_hash) + b"\n")
    name, identifier, key = SIGNER.log_key.split("+", 2)
    assert (name, identifier, b64decode(key)) == (
        "dxmesh.example/local",
        signature[:4].hex(),
        b"\x01" + KEY.public_key().public_bytes_raw(),
    )


def test_what_was_signed_opens_again():
    assert SIGNER.open(SIGNER.sign(HEAD)) == HEAD
    assert SIGNER.open(SIGNER.sign(Head(0, sha256(b"").digest()))) == Head(0, sha256(b"").digest())


@pytest.mark.parametrize(
    "other", [Signer("dxmesh.example/local", Ed25519PrivateKey.from_private_bytes(bytes(32))), Signer("dxmesh.example/other", KEY)]
)
def test_a_checkpoint_of_another_key_or_origin_does_not_open(other):
    with pytest.raises(ValueError, match="not signed by the key"):
        SIGNER.open(other.sign(HEAD))


def test_a_changed_checkpoint_does_not_open():
    with pytest.raises(ValueError, match="not signed by the key"):
        SIGNER.open(SIGNER.sign(HEAD).replace("\n23\n", "\n24\n"))


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a\u3000b"])
def test_an_origin_that_a_key_name_cannot_hold_is_refused(origin):
    with pytest.raises(ValueError, match="LOG__ORIGIN"):
        Signer(origin, KEY)


def test_a_checkpoint_is_due_when_the_tree_grew_and_the_pace_allows():
    def due(size, signed_size, age_seconds):
        signed_at = NOW - timedelta(seconds=age_seconds)
        return domain.is_due(Head(size, b""), signed_size=signed_size, signed_at=signed_at, now=NOW, every_seconds=0.2)

    assert domain.is_due(Head(0, b""), signed_size=None, signed_at=None, now=NOW, every_seconds=0.2)
    assert due(5, 4, 0.3)
    assert not due(5, 4, 0.1)
    assert not due(5, 5, 99)
    assert not due(4, 5, 99)
