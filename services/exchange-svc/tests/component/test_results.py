"""Results that departments recognise from each other: keys, issuing, who may have one, proof, revocation, recognition."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey

from dxmesh_client import result_proof
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.exchange_results import ResultIssued, ResultRecognised, ResultRevoked, ResultStatement

USCC = "11330600002577014T"


def new_key() -> OKPKey:
    return OKPKey.import_key(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def today() -> Any:
    return day_of(utc_now())


def statement(by: Any, **changes: Any) -> dict[str, Any]:
    fields = {
        "result_id": str(uuid7()),
        "issuer": str(by.organization_id),
        "kind": "双随机抽查",
        "subject_scheme": "uscc",
        "subject": USCC,
        "outcome": "未发现问题",
        "basis": "优化营商环境条例第五十四条",
        "division_code": "330602",
        "issued_on": today().isoformat(),
    }
    return fields | {name: str(value) if isinstance(value, UUID) else value for name, value in changes.items()}


def signed(key: OKPKey, said: dict[str, Any], typ: str = "dxmesh-result+jws") -> str:
    return result_proof._sign(key, typ, said)


async def post(exchange: Any, path: str, by: Any, **body: Any) -> Any:
    return await exchange.client.post(f"/v1/{path}", json=body, headers=exchange.steward(by))


async def registered(exchange: Any, by: Any) -> OKPKey:
    key = new_key()
    body = {"jwk": result_proof.public_jwk(key), "proof": result_proof.prove_possession(key, by.organization_id)}
    answer = await post(exchange, "issuer-keys", by, **body)
    assert (answer.status_code, answer.json()["kid"]) == (201, key.thumbprint()), answer.text
    return key


async def said(exchange: Any, kind: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kind)]


async def test_a_signed_result_is_issued_once_and_verified_offline(exchange: Any) -> None:
    key = await registered(exchange, exchange.provider)
    said_of = statement(exchange.provider, facts={"抽查事项": "消防通道"}, valid_until=(today() + timedelta(days=1)).isoformat())
    result = signed(key, said_of)
    first, again = [await post(exchange, "results", exchange.provider, result=result) for _ in range(2)]
    assert (first.status_code, again.status_code, first.json()) == (201, 200, again.json())
    [issued] = await said(exchange, ResultIssued)
    assert (issued.statement.facts, issued.jws) == ({"抽查事项": "消防通道"}, result)
    path = f"/v1/results/{said_of['result_id']}/proof"
    proof = (await exchange.client.get(path, headers=exchange.steward(exchange.stranger))).content
    node_keys = (await exchange.client.get("/.well-known/jwks.json")).content
    found = result_proof.verify(proof, node_keys, today=today())
    assert (found.statement, found.issuer["name"]) == (ResultStatement.model_validate(said_of), exchange.provider.name)
    with pytest.raises(result_proof.ResultInvalid, match="good until") as late:
        result_proof.verify(proof, node_keys, today=today() + timedelta(days=2))
    assert late.value.step == "term"
    revoked = await post(exchange, f"results/{said_of['result_id']}/revocation", exchange.provider, reason="复查发现问题")
    assert (revoked.status_code, revoked.json()["revocation_reason"]) == (201, "复查发现问题")
    after = (await exchange.client.get(path, headers=exchange.steward(exchange.stranger))).content
    with pytest.raises(result_proof.ResultInvalid) as gone:
        result_proof.verify(after, node_keys, today=today())
    assert gone.value.step == "state"
    assert (await post(exchange, f"results/{said_of['result_id']}/revocation", exchange.provider, reason="x")).status_code == 409
    assert len(await said(exchange, ResultRevoked)) == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"issuer": UUID(int=7)}, "/result/issuer"),
        ({"issued_on": "2999-01-01"}, "/result/issued_on"),
        ({"valid_until": "2000-01-01"}, "/result/valid_until"),
        ({"subject": "1133"}, "/result/subject"),
        ({"subject_scheme": "reference", "subject": "工单 11010119900307293X"}, "/result/subject"),
        ({"subject_scheme": "resident_id"}, "/result/subject_scheme"),
        ({"kind": "  "}, "/result/kind"),
        ({"kind": "a\u200bb"}, "/result/kind"),
        ({"more": 1}, "/result/more"),
        ({"division_code": "3"}, "/result/division_code"),
        ({"result_id": "7"}, "/result/result_id"),
    ],
)
async def test_what_a_result_may_not_say_is_refused_at_its_field(exchange: Any, changes: dict[str, Any], pointer: str) -> None:
    key = await registered(exchange, exchange.provider)
    answer = await post(exchange, "results", exchange.provider, result=signed(key, statement(exchange.provider, **changes)))
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, [pointer]), answer.text
    assert not await said(exchange, ResultIssued)


async def test_what_is_not_signed_by_the_issuers_key_is_refused(exchange: Any) -> None:
    key, other = await registered(exchange, exchange.provider), await registered(exchange, exchange.stranger)
    good = statement(exchange.provider)
    head, body, mark = signed(key, good).split(".")
    changed = ".".join([head, result_proof._sign(key, "dxmesh-result+jws", good | {"outcome": "有问题"}).split(".")[1], mark])
    for result, status in (
        (changed, 422),
        (signed(key, good, "JWT"), 422),
        (signed(other, good), 404),
        (signed(new_key(), good), 404),
        ("a.b.c", 422),
        (f"{head}.{body}", 422),
        ("x" * 50_001, 422),
    ):
        assert (await post(exchange, "results", exchange.provider, result=result)).status_code == status, result[:60]
    assert (await post(exchange, "results", exchange.provider, result=signed(key, good))).status_code == 201
    another = signed(key, good | {"outcome": "有问题"})
    assert (await post(exchange, "results", exchange.provider, result=another)).status_code == 409
    widened = await post(exchange, "results", exchange.provider, result=signed(key, good), shared_with=[])
    assert widened.status_code == 409
    assert len(await said(exchange, ResultIssued)) == 1


async def test_a_key_is_shown_to_be_held_and_belongs_to_one(exchange: Any) -> None:
    key = await registered(exchange, exchange.provider)
    jwk, mine = result_proof.public_jwk(key), exchange.provider.organization_id
    proof = result_proof.prove_possession(key, mine)
    private = json.loads(json.dumps(key.as_dict(private=True)))
    for body, status in (
        ({"jwk": jwk, "proof": result_proof.prove_possession(new_key(), mine)}, 422),
        ({"jwk": jwk, "proof": result_proof.prove_possession(key, exchange.stranger.organization_id)}, 422),
        ({"jwk": private, "proof": proof}, 422),
        ({"jwk": {"kty": "RSA", "n": "x", "e": "AQAB"}, "proof": proof}, 422),
        ({"jwk": {**jwk, "crv": "X25519"}, "proof": proof}, 422),
        ({"jwk": {}, "proof": proof}, 422),
        ({"jwk": jwk, "proof": proof}, 201),
    ):
        assert (await post(exchange, "issuer-keys", exchange.provider, **body)).status_code == status, body
    taken = {"jwk": jwk, "proof": result_proof.prove_possession(key, exchange.stranger.organization_id)}
    assert (await post(exchange, "issuer-keys", exchange.stranger, **taken)).status_code == 409
    kid = key.thumbprint()
    assert (await post(exchange, f"issuer-keys/{kid}/end", exchange.stranger, reason="x")).status_code == 404
    before = signed(key, statement(exchange.provider))
    assert (await post(exchange, "results", exchange.provider, result=before)).status_code == 201
    assert (await post(exchange, f"issuer-keys/{kid}/end", exchange.provider, reason="更换")).status_code == 201
    assert (await post(exchange, f"issuer-keys/{kid}/end", exchange.provider, reason="x")).status_code == 409
    assert (await post(exchange, "issuer-keys", exchange.provider, jwk=jwk, proof=proof)).status_code == 409
    assert (await post(exchange, "results", exchange.provider, result=before)).status_code == 200
    assert (await post(exchange, "results", exchange.provider, result=signed(key, statement(exchange.provider)))).status_code == 409
    listed = await exchange.client.get(
        "/v1/issuer-keys", params={"organization_id": str(mine)}, headers=exchange.steward(exchange.stranger)
    )
    assert [(one["kid"], one["end_reason"]) for one in listed.json()] == [(kid, "更换")]


async def test_a_result_is_had_by_those_it_is_shared_with_and_recognised_by_each_once(exchange: Any) -> None:
    key = await registered(exchange, exchange.provider)
    said_of = statement(exchange.provider)
    unknown = await post(exchange, "results", exchange.provider, result=signed(key, said_of), shared_with=[str(UUID(int=9))])
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/shared_with/0")
    named = [str(exchange.requester.organization_id)]
    assert (await post(exchange, "results", exchange.provider, result=signed(key, said_of), shared_with=named)).status_code == 201
    path = f"results/{said_of['result_id']}"
    for who, status, count in ((exchange.requester, 200, 1), (exchange.provider, 200, 1), (exchange.stranger, 404, 0)):
        for end in ("", "/proof", "/recognitions"):
            assert (await exchange.client.get(f"/v1/{path}{end}", headers=exchange.steward(who))).status_code == status, end
        found = await exchange.client.get("/v1/results", params={"subject": USCC, "kind": "双随机抽查"}, headers=exchange.steward(who))
        assert len(found.json()["items"]) == count
    assert (await exchange.client.get(f"/v1/{path}", headers=exchange.authority)).status_code == 200
    use = {"accepted": True, "purpose": "免予重复检查"}
    assert (await post(exchange, f"{path}/recognitions", exchange.stranger, **use)).status_code == 404
    assert (await post(exchange, f"{path}/recognitions", exchange.provider, **use)).status_code == 422
    silent = await post(exchange, f"{path}/recognitions", exchange.requester, accepted=False, purpose="x")
    assert (silent.status_code, silent.json()["errors"][0]["pointer"]) == (422, "/reason")
    accepted = await post(exchange, f"{path}/recognitions", exchange.requester, **use)
    assert (accepted.status_code, accepted.json()[0]["organization"]["name"]) == (201, exchange.requester.name)
    assert (await post(exchange, f"{path}/recognitions", exchange.requester, **use)).status_code == 409
    [event] = await said(exchange, ResultRecognised)
    assert (event.by, event.issuer, event.accepted) == (exchange.requester, exchange.provider, True)


async def test_a_revoked_result_is_not_relied_on(exchange: Any) -> None:
    key = await registered(exchange, exchange.provider)
    said_of = statement(exchange.provider)
    await post(exchange, "results", exchange.provider, result=signed(key, said_of))
    path = f"results/{said_of['result_id']}"
    assert (await post(exchange, f"{path}/revocation", exchange.requester, reason="x")).status_code == 404
    await post(exchange, f"{path}/revocation", exchange.provider, reason="复查发现问题")
    refused = await post(exchange, f"{path}/recognitions", exchange.requester, accepted=True, purpose="免检")
    declined = await post(exchange, f"{path}/recognitions", exchange.requester, accepted=False, purpose="免检", reason="已撤销")
    assert (refused.status_code, declined.status_code) == (409, 201)
