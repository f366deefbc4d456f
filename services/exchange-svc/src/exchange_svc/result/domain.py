"""Rules of results: what a key's owner shows, what a signed result says, and who may have it."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import polars as pl
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import ValidationError

from dxmesh_schemas.exchange_results import KEY_TYPE, RESULT_TYPE, ResultStatement, SubjectScheme
from dxmesh_tabular.checks import is_uscc
from exchange_svc.result.errors import ResultInvalid

_ALGORITHMS = ["EdDSA"]
_PUBLIC = ("kty", "crv", "x")
_LIKE_RESIDENT_ID = re.compile(r"(?<![0-9])[1-9][0-9]{16}[0-9Xx](?![0-9])")


def public_key(given: Mapping[str, Any]) -> dict[str, str]:
    """Return an issuer's key as it is kept: public Ed25519 only, named by its thumbprint (RFC 7638, RFC 8037).

    Raises: ResultInvalid (422).
    """
    if "d" in given:
        raise _wrong("/jwk/d", "is the private part: keep it to yourself, make a new key, and send that one's public part only")
    try:
        key = OKPKey.import_key({name: given[name] for name in _PUBLIC})
    except (JoseError, KeyError, ValueError, TypeError) as wrong:
        raise _wrong("/jwk", f"is no Ed25519 public key as a JWK with kty, crv and x ({wrong!r})") from wrong
    if given["crv"] != "Ed25519":
        raise _wrong("/jwk/crv", f"is {given['crv']}: make an Ed25519 key")
    return {**{name: str(given[name]) for name in _PUBLIC}, "kid": key.thumbprint(), "use": "sig", "alg": "EdDSA"}


def check_possession(proof: str, jwk: Mapping[str, str], organization_id: UUID) -> None:
    """Make sure that who registers a key has it: it signed the organization's id. Raises: ResultInvalid (422)."""
    said = _signed(proof, jwk, KEY_TYPE, "/proof")
    if said.get("organization_id") != str(organization_id):
        raise _wrong("/proof", f"signs for organization {said.get('organization_id')}; sign {{'organization_id': '{organization_id}'}}")


def key_id(signed: str) -> str:
    """Return the id of the key a result says it is signed with. Raises: ResultInvalid (422)."""
    try:
        kid = jws.extract_compact(signed.encode()).headers().get("kid")
    except (JoseError, ValueError) as wrong:
        raise _wrong("/result", f"is no compact JWS ({wrong})") from wrong
    if not isinstance(kid, str) or len(kid) > 100:
        raise _wrong("/result", "names no key: put the key's `kid` in its header")
    return kid


def read(signed: str, jwk: Mapping[str, str], *, today: date) -> ResultStatement:
    """Return what an issuer signed. Raises: ResultInvalid (422) naming what is wrong in it."""
    said = _signed(signed, jwk, RESULT_TYPE, "/result")
    try:
        statement = ResultStatement.model_validate(said)
    except ValidationError as wrong:
        faults = [("/result/" + "/".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in wrong.errors()]
        raise ResultInvalid.of(faults) from wrong
    if statement.issued_on > today:
        raise _wrong("/result/issued_on", f"{statement.issued_on} is to come; issue it on the day")
    if statement.valid_until is not None and statement.valid_until < statement.issued_on:
        raise _wrong("/result/valid_until", f"{statement.valid_until} is before {statement.issued_on}, when it was issued")
    if statement.subject_scheme is SubjectScheme.USCC and not pl.select(is_uscc(pl.lit(statement.subject))).item():
        raise _wrong("/result/subject", f"{statement.subject} is no unified social credit code (GB 32100)")
    if statement.subject_scheme is SubjectScheme.REFERENCE and _LIKE_RESIDENT_ID.search(statement.subject):
        raise _wrong(
            "/result/subject", "holds what looks like a resident id: name a person by a number of your own, as results are kept for good"
        )
    return statement


def _signed(signed: str, jwk: Mapping[str, str], typ: str, at: str) -> dict[str, Any]:
    try:
        found = jws.deserialize_compact(signed, OKPKey.import_key(dict(jwk)), algorithms=_ALGORITHMS)
        payload = json.loads(found.payload)
    except (JoseError, ValueError, RecursionError) as wrong:
        raise _wrong(at, f"is not signed by the key {jwk['kid']} ({wrong})") from wrong
    if found.headers().get("typ") != typ:
        raise _wrong(at, f"has typ {found.headers().get('typ')!r} in its header; write {typ!r}")
    if not isinstance(payload, dict):
        raise _wrong(at, "signs no JSON object")
    return payload


def _wrong(pointer: str, detail: str) -> ResultInvalid:
    return ResultInvalid.of([(pointer, detail)])


def may_have(organization_id: UUID | None, *, issuer_id: UUID, shared_with: Sequence[str] | None) -> bool:
    """Say whether a department may have a result: its issuer, those it is shared with, or every one when it names none."""
    if organization_id is None:
        return False
    return organization_id == issuer_id or shared_with is None or str(organization_id) in shared_with


def attestation(
    *,
    node: str,
    signed: str,
    issuer: Mapping[str, Any],
    jwk: Mapping[str, str],
    key_ended_at: datetime | None,
    revoked_at: datetime | None,
    now: datetime,
) -> dict[str, Any]:
    """Return what a node says of a result: who issued it, by which key, and whether it stands as of now."""
    return {
        "node": node,
        "result_sha256": hashlib.sha256(signed.encode()).hexdigest(),
        "issuer": dict(issuer),
        "jwk": dict(jwk),
        "key_ended_at": None if key_ended_at is None else key_ended_at.isoformat(),
        "state": "valid" if revoked_at is None else "revoked",
        "revoked_at": None if revoked_at is None else revoked_at.isoformat(),
        "as_of": now.isoformat(),
    }
