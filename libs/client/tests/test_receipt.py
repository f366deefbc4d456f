"""Receipts and acknowledgements: a good one verifies offline, and every changed one is refused with the step that failed."""

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from dxmesh_client.receipt import AcknowledgementInvalid, ReceiptInvalid, verify, verify_acknowledgement
from dxmesh_schemas.audit import Receipt

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
ORIGIN = "dxmesh.example/local"


def key_id(origin=ORIGIN, public=PUBLIC):
    return sha256(origin.encode() + b"\n\x01" + public).digest()[:4]


def vkey(origin=ORIGIN, public=PUBLIC):
    return "+".join([origin, key_id(origin, public).hex(), b64encode(b"\x01" + public).decode()])


def root_of(hashes):
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha256(b"\x01" + root_of(hashes[:k]) + root_of(hashes[k:])).digest()


def path_of(index, hashes):
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if index < k:
        return [*path_of(index, hashes[:k]), root_of(hashes[k:])]
    return [*path_of(index - k, hashes[k:]), root_of(hashes[:k])]


def entry_of(payload, number=0, **more):
    facts = {
        "id": f"00000000-0000-7000-8000-{number:012x}",
        "payload_sha256": sha256(payload).hexdigest(),
        "source": "/exchange-svc",
        "time": "2026-11-22T08:00:00+00:00",
        "topic": "dxmesh.exchange.batch",
        "type": "dxmesh.exchange.batch.received.v1",
        "subject": "批次",
    } | more
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(text, key=KEY, origin=ORIGIN):
    signature = key_id(origin, key.public_key().public_bytes_raw()) + key.sign(text.encode())
    return f"{text}\n— {origin} {b64encode(signature).decode()}\n"


def make(index=3, size=7, *, payload=b'{"batch_id": "x", "received_count": 3}', entry=None, origin=ORIGIN):
    entries = [entry_of(b"%d" % number, number) for number in range(size)]
    entries[index] = entry_of(payload, index) if entry is None else entry
    hashes = [sha256(b"\x00" + leaf).digest() for leaf in entries]
    return Receipt(
        entry=b64encode(entries[index]).decode(),
        payload=b64encode(payload).decode(),
        index=index,
        tree_size=size,
        proof=tuple(b64encode(step).decode() for step in path_of(index, hashes)),
        checkpoint=sign(f"{origin}\n{size}\n{b64encode(root_of(hashes)).decode()}\n", origin=origin),
    )


def refused(receipt, step, key=None):
    with pytest.raises(ReceiptInvalid) as caught:
        verify(receipt, vkey() if key is None else key)
    assert caught.value.step == step, caught.value
    return caught.value.reason


def test_a_receipt_says_what_it_proves():
    found = verify(make().model_dump_json(indent=2).encode(), vkey() + "\n")
    assert found.event_id.int & 0xFFF == 3
    assert (found.event_type, found.source, found.topic) == ("dxmesh.exchange.batch.received.v1", "/exchange-svc", "dxmesh.exchange.batch")
    assert (found.subject, found.key, found.index, found.tree_size, found.origin) == ("批次", None, 3, 7, ORIGIN)
    assert found.event() == {"batch_id": "x", "received_count": 3}
    assert found == verify(make(), vkey())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 33])
def test_every_place_in_a_tree_verifies(size):
    for index in range(size):
        assert verify(make(index, size), vkey()).index == index


@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_with_any_byte_changed_is_refused_or_says_the_same(indent):
    file = make(2, 5).model_dump_json(indent=indent).encode()
    meaning = json.loads(file)
    same = 0
    for at in range(len(file)):
        for mask in (1, 2, 4, 8, 16, 32, 64, 128, 255, 0x20 ^ 0x0A):
            changed = file[:at] + bytes([file[at] ^ mask]) + file[at + 1 :]
            try:
                verify(changed, vkey())
            except ReceiptInvalid:
                continue
            assert json.loads(changed) == meaning, f"byte {at} changed to {changed[at : at + 1]!r} was let through"
            same += 1
    assert (same > 0) == (indent is not None)  # only blanks between fields may change


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_single_byte_put_cut_or_replaced_is_refused_or_says_the_same(data):
    file = make(2, 5).model_dump_json(indent=1).encode()
    at = data.draw(st.integers(0, len(file)))
    replacement = data.draw(st.binary(max_size=1))
    changed = file[:at] + replacement + file[at + data.draw(st.integers(0, 1)) :]
    try:
        verify(changed, vkey())
    except ReceiptInvalid:
        return
    assert json.loads(changed) == json.loads(file)


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b'"x"', b"\xff\xfe{}", b"[" * 100_000, b'{"index": 1}', b'{"format": "dxmesh-receipt-v1"', b"PK\x03\x04"],
)
def test_what_is_no_receipt_is_refused_by_its_form(data):
    refused(data, "form")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "dxmesh-receipt-v2"),
        ("format", None),
        ("entry", 5),
        ("entry", "!"),
        ("payload", None),
        ("payload", "eA"),
        ("payload", "eB=="),
        ("index", "3"),
        ("index", 3.0),
        ("index", True),
        ("index", -1),
        ("index", 1 << 64),
        ("tree_size", None),
        ("tree_size", "7"),
        ("proof", None),
        ("proof", "x"),
        ("proof", [5]),
        ("proof", {"a": "b"}),
        ("checkpoint", 7),
        ("checkpoint", None),
        ("more", 1),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_the_form(field, value):
    refused(json.dumps(make().model_dump() | {field: value}).encode(), "form")


@pytest.mark.parametrize("field", sorted(Receipt.model_fields))
def test_a_missing_field_is_refused_by_the_form(field):
    fields = make().model_dump()
    del fields[field]
    refused(json.dumps(fields).encode(), "form")


def test_a_field_given_twice_is_refused():
    assert "twice" in refused(make().model_dump_json().replace('{"format"', '{"index":3,"format"').encode(), "form")


def test_another_payload_is_refused():
    other = b64encode(b'{"batch_id": "x", "received_count": 4}').decode()
    refused(make().model_copy(update={"payload": other}), "payload")


def test_another_entry_with_a_fitting_payload_is_refused_by_the_proof():
    payload = b'{"forged": true}'
    update = {"payload": b64encode(payload).decode(), "entry": b64encode(entry_of(payload, 3)).decode()}
    assert "do not lead to the signed root" in refused(make().model_copy(update=update), "inclusion")


@pytest.mark.parametrize("index", [0, 2, 4, 6])
def test_another_index_is_refused(index):
    refused(make().model_copy(update={"index": index}), "inclusion")


def test_an_index_outside_the_tree_is_refused():
    refused(make().model_copy(update={"index": 7}), "inclusion")


def test_another_tree_size_is_refused():
    refused(make().model_copy(update={"tree_size": 8}), "checkpoint")


def test_a_longer_or_shorter_proof_is_refused():
    good = make()
    assert "too few" in refused(good.model_copy(update={"proof": good.proof[:-1]}), "inclusion")
    assert "too many" in refused(good.model_copy(update={"proof": (*good.proof, good.proof[0])}), "inclusion")
    assert "not a SHA-256" in refused(good.model_copy(update={"proof": ("eA==", *good.proof[1:])}), "inclusion")
    refused(good.model_copy(update={"proof": good.proof[::-1]}), "inclusion")


def test_a_checkpoint_of_another_log_or_key_is_refused():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    refused(make(), "signature", vkey(public=other))
    refused(make(), "checkpoint", vkey("dxmesh.example/other"))
    refused(make(origin="dxmesh.example/other"), "checkpoint")


def test_a_forged_signature_is_refused():
    good = make()
    text = good.checkpoint.rpartition("\n\n")[0] + "\n"
    forged = Ed25519PrivateKey.from_private_bytes(bytes(32))
    line = f"— {ORIGIN} {b64encode(key_id() + forged.sign(text.encode())).decode()}\n"
    assert "did not sign" in refused(good.model_copy(update={"checkpoint": f"{text}\n{line}"}), "signature")


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note + note.split("\n")[4] + "\n",
        lambda note: note[:-1],
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note.replace("\n", "\r\n"),
        lambda note: "",
        lambda note: note.replace("\n7\n", "\n7\nextra\n"),
    ],
)
def test_a_checkpoint_in_another_form_is_refused(change):
    good = make()
    refused(good.model_copy(update={"checkpoint": change(good.checkpoint)}), "checkpoint")


@pytest.mark.parametrize("size_text", ["07", "+7", "7 ", "٧", "7_0", ""])
def test_a_signed_size_in_another_writing_is_refused(size_text):
    good = make()
    root = good.checkpoint.split("\n")[2]
    refused(good.model_copy(update={"checkpoint": sign(f"{ORIGIN}\n{size_text}\n{root}\n")}), "checkpoint")


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{}",
        b"[1]",
        b"not json",
        entry_of(b"p", 3) + b"\n",
        entry_of(b"p", 3).replace(b":", b": "),
        entry_of(b"p", 3, more="x"),
        entry_of(b"p", 3, id="no id"),
        entry_of(b"p", 3, time="noon"),
        entry_of(b"p", 3, subject=None),
        entry_of(b"p", 3, time=5),
    ],
)
def test_a_logged_entry_that_is_no_event_is_refused(entry):
    refused(make(3, payload=b"p", entry=entry), "entry")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "a+b",
        vkey().replace("dxmesh", "other"),
        vkey()[:-4],
        vkey() + "AAAA",
        vkey().replace("+" + key_id().hex(), "+00000000"),
        "a+00000000+!!!!",
    ],
)
def test_a_log_key_that_is_none_is_named(key):
    refused(make(), "key", key)


def test_a_payload_that_is_no_object_is_proven_but_not_an_event():
    found = verify(make(payload=b"\x00\xff"), vkey())
    assert found.payload == b"\x00\xff"
    with pytest.raises(ValueError):
        found.event()
    with pytest.raises(ValueError, match="not a JSON object"):
        verify(make(payload=b"[]"), vkey()).event()


# -- acknowledgements --------------------------------------------------------------------------------------------------


def part(data):
    return urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


JWK = {"kty": "OKP", "crv": "Ed25519", "x": part(PUBLIC), "kid": "k1"}


def jws(payload=None, key=KEY, **header):
    head = {"alg": "EdDSA", "typ": "JWT", "kid": "k1"} | header
    header = {name: value for name, value in head.items() if value is not None}
    signed = f"{part(header)}.{part({'batch_id': 'b'} if payload is None else payload)}"
    return f"{signed}.{part(key.sign(signed.encode()))}"


def test_an_acknowledgement_gives_what_was_signed():
    assert verify_acknowledgement(jws({"batch_id": "b", "received_count": 3}), JWK) == {"batch_id": "b", "received_count": 3}
    assert verify_acknowledgement(jws(alg="Ed25519"), JWK) == {"batch_id": "b"}


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": None}, {"crit": ["exp"]}, {"b64": False}, {"kid": "k2"}, {"kid": None}]
)
def test_an_acknowledgement_with_another_header_is_refused(header):
    with pytest.raises(AcknowledgementInvalid):
        verify_acknowledgement(jws(**header), JWK)


def test_an_acknowledgement_with_any_character_changed_is_refused():
    good = jws()
    for at in range(len(good)):
        for other in "A_.=\n é":
            if other != good[at]:
                with pytest.raises(AcknowledgementInvalid):
                    verify_acknowledgement(good[:at] + other + good[at + 1 :], JWK)


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.b.c.d", "..", jws([1]), jws(b"no json"), jws(key=Ed25519PrivateKey.from_private_bytes(bytes(32)))]
)
def test_what_is_no_acknowledgement_of_the_node_is_refused(text):
    with pytest.raises(AcknowledgementInvalid):
        verify_acknowledgement(text, JWK)


@pytest.mark.parametrize("change", [{"kty": "EC"}, {"crv": "P-256"}, {"x": None}, {"x": part(b"short")}, {"x": "!"}, {"kid": "other"}])
def test_a_jwk_that_cannot_have_signed_is_refused(change):
    with pytest.raises(AcknowledgementInvalid):
        verify_acknowledgement(jws(), JWK | change)


def test_the_entry_travels_as_the_bytes_that_were_hashed():
    entry = b64decode(make().entry)
    assert json.loads(entry)["subject"] == "批次"
    assert "批次".encode() in entry
