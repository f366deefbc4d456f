"""What proves something without asking anyone: receipts of the transparency log, and signed acknowledgements."""

import json
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, NoReturn
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dxmesh_schemas.audit import Receipt

FORMAT = "dxmesh-receipt-v1"
_ED25519 = b"\x01"  # the signature type of C2SP signed-note
_MAX_LEAVES = 1 << 63
_REQUIRED = {"id", "type", "source", "time", "topic", "payload_sha256"}
_OPTIONAL = {"subject", "key"}


class ReceiptInvalid(ValueError):
    """A receipt that proves nothing; `step` names the check that failed: key, form, entry, payload, checkpoint, signature or inclusion."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


class AcknowledgementInvalid(ValueError):
    """An acknowledgement that the key did not sign, or that is not in the expected form."""


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt proves: this event, with this payload, is entry `index` of the log that signed for `tree_size` entries."""

    event_id: UUID
    event_type: str
    source: str
    time: datetime
    topic: str
    subject: str | None
    key: str | None
    payload: bytes
    index: int
    tree_size: int
    root_hash: bytes
    origin: str

    def event(self) -> dict[str, Any]:
        """Return the payload as JSON. Raises: ValueError when the event's payload is not a JSON object."""
        found = json.loads(self.payload)
        if not isinstance(found, dict):
            raise ValueError("the event's payload is not a JSON object")
        return found


def verify(receipt: Receipt | bytes, log_key: str) -> VerifiedReceipt:
    """Check a receipt with nothing but the log's public key, and return what it proves.

    receipt: the file as it was received, or the parsed model. log_key: the line that the log gives at /v1/log-key.
    Raises: ReceiptInvalid saying which step failed and why.
    Source: RFC 9162 section 2.1.3.2 (inclusion), C2SP tlog-checkpoint and signed-note (checkpoint), Ed25519.
    """
    name, key_id, public = _log_key(log_key)
    fields = _form(receipt)
    entry, payload = _base64("entry", fields["entry"]), _base64("payload", fields["payload"])
    facts = _entry(entry)
    if sha256(payload).hexdigest() != facts["payload_sha256"]:
        _fail("payload", "the payload is not the one that the entry commits to (SHA-256 differs)")
    size, root = _checkpoint(fields["checkpoint"], name, key_id, public)
    if fields["tree_size"] != size:
        _fail("checkpoint", f"the receipt says tree_size {fields['tree_size']}, the signed checkpoint says {size}")
    proof = [_base64(f"proof[{number}]", step) for number, step in enumerate(fields["proof"])]
    _inclusion(fields["index"], size, sha256(b"\x00" + entry).digest(), proof, root)
    return VerifiedReceipt(
        event_id=UUID(facts["id"]),
        event_type=facts["type"],
        source=facts["source"],
        time=datetime.fromisoformat(facts["time"]),
        topic=facts["topic"],
        subject=facts.get("subject"),
        key=facts.get("key"),
        payload=payload,
        index=fields["index"],
        tree_size=size,
        root_hash=root,
        origin=name,
    )


def verify_acknowledgement(acknowledgement: str, jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Check a compact JWS that a node signed with Ed25519, and return its payload.

    jwk: the node's public key (RFC 8037), as found by its `kid` in the JWK set.
    Raises: AcknowledgementInvalid. Source: RFC 7515 section 5.2, RFC 8037 section 3.1.
    """
    parts = acknowledgement.split(".")
    if len(parts) != 3:
        raise AcknowledgementInvalid("it is not a compact JWS: three parts joined by dots are expected")
    header, payload = _json_part("header", parts[0]), _json_part("payload", parts[1])
    if header.get("alg") not in ("EdDSA", "Ed25519") or "crit" in header or "b64" in header:
        raise AcknowledgementInvalid(f"the header asks for alg {header.get('alg')!r}; only Ed25519 without extensions is read")
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or not isinstance(jwk.get("x"), str):
        raise AcknowledgementInvalid("the JWK is not an Ed25519 public key")
    if header.get("kid") != jwk.get("kid"):
        raise AcknowledgementInvalid(f"it is signed by key {header.get('kid')!r}; the key given is {jwk.get('kid')!r}")
    try:
        public = Ed25519PublicKey.from_public_bytes(_base64url("x", jwk["x"]))
        public.verify(_base64url("signature", parts[2]), f"{parts[0]}.{parts[1]}".encode())
    except InvalidSignature:
        raise AcknowledgementInvalid("the signature is not that of the key") from None
    except ValueError as wrong:
        raise AcknowledgementInvalid(str(wrong)) from wrong
    return payload


# -- the steps ---------------------------------------------------------------------------------------------------------


def _fail(step: str, reason: str) -> NoReturn:
    raise ReceiptInvalid(step, reason)


def _log_key(text: str) -> tuple[str, bytes, Ed25519PublicKey]:
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not parts[0] or len(parts[1]) != 8:
        _fail("key", "the log key is not of the form <name>+<8 hex digits>+<base64>; take it from the log's /v1/log-key")
    name, wanted, encoded = parts
    try:
        key = b64decode(encoded, validate=True)
    except ValueError as wrong:
        _fail("key", f"the log key is not base64: {wrong}")
    if len(key) != 33 or key[:1] != _ED25519:
        _fail("key", "the log key is not an Ed25519 key")
    key_id = sha256(name.encode() + b"\n" + key).digest()[:4]
    if key_id.hex() != wanted:
        _fail("key", f"the log key says it is {wanted}; name and key give {key_id.hex()}")
    return name, key_id, Ed25519PublicKey.from_public_bytes(key[1:])


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is given twice")
    return found


def _json_object(data: bytes) -> dict[str, Any]:
    found = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    return found


def _form(receipt: Receipt | bytes) -> dict[str, Any]:
    """Return the fields, each of exactly its type: a receipt that could be read in two ways proves neither."""
    if isinstance(receipt, Receipt):
        fields: dict[str, Any] = receipt.model_dump() | {"proof": list(receipt.proof)}
    else:
        try:
            fields = _json_object(receipt)
        except (ValueError, RecursionError) as wrong:
            _fail("form", f"the file is not a receipt: {wrong}")
    if set(fields) != set(Receipt.model_fields):
        _fail("form", f"the fields are {sorted(fields)}; a receipt has exactly {sorted(Receipt.model_fields)}")
    if fields["format"] != FORMAT:
        _fail("form", f"the format is {fields['format']!r}, not {FORMAT}")
    for field in ("entry", "payload", "checkpoint"):
        if type(fields[field]) is not str:
            _fail("form", f"{field} is not text")
    for field in ("index", "tree_size"):
        if type(fields[field]) is not int or not 0 <= fields[field] < _MAX_LEAVES:
            _fail("form", f"{field} is not a whole number from 0")
    if type(fields["proof"]) is not list or not all(type(step) is str for step in fields["proof"]):
        _fail("form", "proof is not a list of text")
    return fields


def _base64(field: str, text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except ValueError as wrong:
        _fail("form", f"{field} is not base64: {wrong}")
    if b64encode(data).decode() != text:
        _fail("form", f"{field} is not base64 in its one written form")
    return data


def _entry(entry: bytes) -> dict[str, str]:
    """Return the entry's facts; only its canonical form is read (RFC 8785)."""
    try:
        facts = _json_object(entry)
    except (ValueError, RecursionError) as wrong:
        _fail("entry", f"the entry cannot be read: {wrong}")
    if not _REQUIRED <= set(facts) <= _REQUIRED | _OPTIONAL or not all(type(value) is str for value in facts.values()):
        _fail("entry", f"the entry has the fields {sorted(facts)}, not those of an event")
    if json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass") != entry:
        _fail("entry", "the entry is not in canonical form")
    try:
        UUID(facts["id"])
        datetime.fromisoformat(facts["time"])
    except ValueError as wrong:
        _fail("entry", f"the entry's id or time cannot be read: {wrong}")
    return facts


def _checkpoint(note: str, name: str, key_id: bytes, public: Ed25519PublicKey) -> tuple[int, bytes]:
    """Return size and root of a checkpoint; it must be this log's and carry this log's signature and no other."""
    lines = note.split("\n")
    if len(lines) != 6 or lines[3] or lines[5]:
        _fail("checkpoint", "it is not a checkpoint with one signature: origin, size, root, an empty line, one signature line")
    origin, size_text, root_text, _, signature_line, _ = lines
    if origin != name:
        _fail("checkpoint", f"it is of the log {origin!r}; the key given is that of {name!r}")
    prefix = f"— {name} "
    if not signature_line.startswith(prefix):
        _fail("signature", "the signature line is not of the log's key")
    signature = _base64("signature", signature_line.removeprefix(prefix))
    if signature[:4] != key_id:
        _fail("signature", f"it is by key {signature[:4].hex()}; the key given is {key_id.hex()}")
    try:
        public.verify(signature[4:], f"{origin}\n{size_text}\n{root_text}\n".encode("utf-8", "surrogatepass"))
    except InvalidSignature:
        _fail("signature", "the log's key did not sign this checkpoint")
    if not size_text.isascii() or not size_text.isdecimal() or str(int(size_text)) != size_text:
        _fail("checkpoint", f"the size {size_text!r} is not a number in its one written form")
    root = _base64("root", root_text)
    if len(root) != 32:
        _fail("checkpoint", "the root is not a SHA-256 hash")
    return int(size_text), root


def _inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Recompute the root from the leaf. Source: RFC 9162 section 2.1.3.2."""
    if index >= size:
        _fail("inclusion", f"entry {index} is not in a tree of {size}")
    if any(len(step) != 32 for step in proof):
        _fail("inclusion", "a step of the proof is not a SHA-256 hash")
    first, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            _fail("inclusion", "the proof has too many steps")
        if first & 1 or first == last:
            found = sha256(b"\x01" + step + found).digest()
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            found = sha256(b"\x01" + found + step).digest()
        first, last = first >> 1, last >> 1
    if last != 0:
        _fail("inclusion", "the proof has too few steps")
    if found != root:
        _fail("inclusion", "entry and proof do not lead to the signed root")


# -- JWS ---------------------------------------------------------------------------------------------------------------


def _base64url(field: str, text: str) -> bytes:
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as wrong:
        raise AcknowledgementInvalid(f"{field} is not base64url: {wrong}") from wrong
    if urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise AcknowledgementInvalid(f"{field} is not base64url in its one written form")
    return data


def _json_part(field: str, text: str) -> dict[str, Any]:
    try:
        return _json_object(_base64url(field, text))
    except (ValueError, RecursionError) as wrong:
        raise AcknowledgementInvalid(f"the {field} cannot be read: {wrong}") from wrong
