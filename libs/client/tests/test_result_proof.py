"""Proofs of results offline: what is changed anywhere, or says another thing than was signed, proves nothing."""

import hashlib
import json
import stat
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from joserfc.jwk import OKPKey

from dxmesh_client import result_proof
from dxmesh_client.result_proof import ResultInvalid
from dxmesh_schemas.exchange_results import ATTESTATION_TYPE, ResultStatement

DAY = date(2026, 11, 23)
SAID = ResultStatement(
    result_id=UUID(int=1),
    issuer=UUID(int=2),
    kind="双随机抽查",
    subject_scheme="reference",
    subject="A-17",
    outcome="合格",
    basis="优化营商环境条例第五十四条",
    division_code="330602",
    issued_on=DAY,
)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[OKPKey, OKPKey]:
    return result_proof.create_key(tmp_path / "issuer.pem"), result_proof.create_key(tmp_path / "node.pem")


def proof(keys: tuple[OKPKey, OKPKey], *, result: str | None = None, typ: str = ATTESTATION_TYPE, **changes: Any) -> bytes:
    issuer, node = keys
    made = result_proof.sign(issuer, SAID)
    fields = {
        "node": "330600",
        "result_sha256": hashlib.sha256((result or made).encode()).hexdigest(),
        "issuer": {"organization_id": str(SAID.issuer), "name": "绍兴市市场监督管理局"},
        "jwk": result_proof.public_jwk(issuer),
        "state": "valid",
        "as_of": "2026-11-23T08:00:00+00:00",
    }
    return json.dumps({"result": result or made, "attestation": result_proof._sign(node, typ, fields | changes)}).encode()


def node_keys(keys: tuple[OKPKey, OKPKey]) -> bytes:
    return json.dumps({"keys": [result_proof.public_jwk(keys[1]) | {"kid": keys[1].thumbprint()}]}).encode()


def test_a_whole_proof_holds_and_says_who_and_when(keys: tuple[OKPKey, OKPKey]) -> None:
    found = result_proof.verify(proof(keys), node_keys(keys), today=DAY)
    assert (found.statement, found.node, found.as_of) == (SAID, "330600", "2026-11-23T08:00:00+00:00")
    assert (found.issuer["name"], found.key_id) == ("绍兴市市场监督管理局", keys[0].thumbprint())


def test_what_does_not_hold_names_its_step(keys: tuple[OKPKey, OKPKey]) -> None:
    issuer, node = keys
    foreign = result_proof.sign(node, SAID)
    for given, step in (
        (b"[]", "form"),
        (b'{"result": "x"}', "form"),
        (proof(keys, typ="JWT"), "attestation"),
        (proof((issuer, issuer)), "attestation"),
        (proof(keys, result_sha256="0" * 64), "attestation"),
        (proof(keys, result=foreign), "result"),
        (proof(keys, jwk=result_proof.public_jwk(node)), "result"),
        (proof(keys, jwk={"kty": "OKP"}), "result"),
        (proof(keys, issuer={"organization_id": str(UUID(int=3))}), "result"),
        (proof(keys, result=result_proof._sign(issuer, "dxmesh-result+jws", {"result_id": "x"})), "result"),
        (proof(keys, state="revoked", revoked_at="2026-11-24T00:00:00+00:00"), "state"),
    ):
        with pytest.raises(ResultInvalid) as refused:
            result_proof.verify(given, node_keys(keys), today=DAY)
        assert refused.value.step == step, (given[:200], refused.value)
    with pytest.raises(ResultInvalid) as unknown:
        result_proof.verify(proof(keys), b'{"keys": 7}', today=DAY)
    assert unknown.value.step == "form"


def test_a_key_is_its_owners_alone_and_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pem"
    made = result_proof.create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert result_proof.load_key(path).thumbprint() == made.thumbprint()
    assert set(result_proof.public_jwk(made)) == {"kty", "crv", "x"}
    with pytest.raises(FileExistsError):
        result_proof.create_key(path)
    other = tmp_path / "other.pem"
    other.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ResultInvalid):
        result_proof.load_key(other)
