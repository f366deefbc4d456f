import asyncio
import base64
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey
from sqlalchemy import func, select

from catalog_svc.app import create_app
from catalog_svc.credential.errors import TooManyChecks
from catalog_svc.credential.hashing import SecretChecks
from catalog_svc.credential.store import Credential
from catalog_svc.settings import BootstrapSettings
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.signing import sign_jws
from dxmesh_runtime.testing import serving

GRANT = {"grant_type": "client_credentials"}
BOOTSTRAP = ("node-admin", "a-secret-of-the-first-client")


async def issue(node: Any, **body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    organization = await node.organization()
    path = f"/v1/organizations/{organization['organization_id']}/credentials"
    return organization, await node.made(path, {"name": "推送", "roles": ["steward"]} | body, node.authority)


async def test_the_bootstrap_client_gets_a_token_that_this_node_accepts(node: Any) -> None:
    answer = await node.client.post("/oauth/token", data=GRANT, auth=BOOTSTRAP)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 900, "auditor authority operator")
    keys = KeySet.import_key_set((await node.client.get("/.well-known/jwks.json")).json())
    token = jwt.decode(body["access_token"], keys, algorithms=["EdDSA"])
    assert token.header["kid"] == keys.keys[0].kid
    assert token.claims["iss"] == "http://catalog.test"
    assert token.claims["aud"] == "dxmesh"
    assert token.claims["sub"] == "node-admin"
    assert token.claims["roles"] == ["auditor", "authority", "operator"]
    assert "org" not in token.claims
    listed = await node.client.get("/v1/organizations", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert listed.status_code == 200


async def test_a_department_gets_a_token_in_its_own_name(node: Any) -> None:
    organization, credential = await issue(node)
    form = GRANT | {"client_id": credential["client_id"], "client_secret": credential["client_secret"]}
    answer = await node.client.post("/oauth/token", data=form)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    system = await node.made("/v1/systems", {"name": "系统"}, headers)
    assert system["organization_id"] == organization["organization_id"]


async def test_the_metadata_says_where_everything_is(node: Any) -> None:
    found = (await node.client.get("/.well-known/oauth-authorization-server")).json()
    assert found["issuer"] == "http://catalog.test"
    assert found["token_endpoint"] == "http://catalog.test/oauth/token"
    assert found["jwks_uri"] == "http://catalog.test/.well-known/jwks.json"
    assert found["grant_types_supported"] == ["client_credentials"]


async def test_unknown_client_wrong_secret_and_revoked_client_get_one_answer(node: Any) -> None:
    organization, credential = await issue(node)
    revoked_path = f"/v1/organizations/{organization['organization_id']}/credentials"
    revoked = await node.made(revoked_path, {"name": "旧", "roles": ["steward"]}, node.authority)
    for _ in range(2):
        gone = await node.client.delete(f"{revoked_path}/{revoked['client_id']}", headers=node.authority)
        assert gone.status_code == 204
    pairs = [
        ("nobody", "x"),
        (credential["client_id"], "wrong"),
        (credential["client_id"], " "),
        (revoked["client_id"], revoked["client_secret"]),
        ("a\x00b", "x"),
    ]
    bodies = set()
    for client_id, secret in pairs:
        answer = await node.client.post("/oauth/token", data=GRANT | {"client_id": client_id, "client_secret": secret})
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"].startswith("Basic ")
        bodies.add(answer.text)
    assert [json.loads(body)["error"] for body in bodies] == ["invalid_client"]


async def test_unknown_client_and_wrong_secret_take_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = SecretChecks()
    real = checks._verify
    verified: list[str] = []

    def counted(secret_hash: str, secret: str) -> bool:
        verified.append(secret_hash)
        return real(secret_hash, secret)

    monkeypatch.setattr(checks, "_verify", counted)
    known = await checks.hash("right")
    assert not await checks.matches("known", "wrong", known)
    assert not await checks.matches("unknown", "wrong", None)
    assert len(verified) == 2
    assert verified[0].rsplit("$", 2)[0] == verified[1].rsplit("$", 2)[0], "the decoy has the parameters of a real hash"


async def test_a_right_secret_is_remembered_for_its_own_hash_only(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = SecretChecks()
    one, other = await checks.hash("right"), await checks.hash("another")
    assert await checks.matches("a", "right", one)
    verify = checks._verify
    monkeypatch.setattr(checks, "_verify", None)  # a check would end in an error
    for _ in range(1000):
        assert await checks.matches("a", "right", one)
    monkeypatch.setattr(checks, "_verify", verify)
    assert not await checks.matches("a", "right", other), "the secret was changed"
    assert not await checks.matches("a", "right", None), "the client was revoked"
    assert not await checks.matches("a", "wrong", one)


async def test_what_is_remembered_is_forgotten_in_time() -> None:
    checks = SecretChecks(fresh_seconds=0, remembered=3)
    one = await checks.hash("right")
    for client in "abcde":
        assert await checks.matches(client, "right", one)
    assert len(checks._right) <= 3


async def test_more_checks_than_the_node_admits_are_refused_not_queued_for_ever() -> None:
    checks = SecretChecks(at_once=1, waiting=1)
    found = await asyncio.gather(*(checks.matches("a", "x", None) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(one, TooManyChecks) for one in found) == 4
    assert await checks.matches("a", "x", None) is False


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        ({"data": {"grant_type": "password"}, "auth": BOOTSTRAP}, 400, "unsupported_grant_type"),
        ({"data": {}, "auth": BOOTSTRAP}, 400, "invalid_request"),
        ({"data": GRANT}, 401, "invalid_client"),
        ({"json": GRANT, "auth": BOOTSTRAP}, 400, "invalid_request"),
        ({"data": GRANT | {"scope": "steward"}, "auth": BOOTSTRAP}, 400, "invalid_scope"),
        ({"data": GRANT | {"x": "y" * 9000}, "auth": BOOTSTRAP}, 400, "invalid_request"),
        ({"content": b"\xff\xfe\x00", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400, "invalid_request"),
    ],
)
async def test_a_refusal_has_the_form_of_rfc_6749(strict_node: Any, sent: dict[str, Any], status: int, error: str) -> None:
    answer = await strict_node.client.post("/oauth/token", **sent)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert answer.headers["cache-control"] == "no-store"


async def test_a_token_may_carry_fewer_roles_than_its_client_has(node: Any) -> None:
    answer = await node.client.post("/oauth/token", data=GRANT | {"scope": "auditor"}, auth=BOOTSTRAP)
    assert answer.json()["scope"] == "auditor"
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await node.client.put("/v1/code-sets/x", json={"title": "x", "codes": ["1"]}, headers=headers)).status_code == 403


async def test_tokens_that_are_not_this_nodes_are_refused(node: Any, is_problem: Any) -> None:
    good = node.headers(None, "authority")["Authorization"].removeprefix("Bearer ")
    header, payload, signature = good.split(".")
    now = int(utc_now().timestamp())
    claims = {"iss": "http://catalog.test", "aud": "dxmesh", "sub": "x", "iat": now, "exp": now + 900, "roles": ["authority"]}

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def signed(**changes: Any) -> str:
        merged = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode({"alg": "EdDSA", "kid": node.issuer.public_jwk["kid"]}, merged, node.issuer.key, algorithms=["EdDSA"])

    forged_key = Ed25519PrivateKey.generate()
    wrong = {
        "expired": signed(iat=now - 2000, exp=now - 1000),
        "foreign issuer": signed(iss="http://elsewhere.test"),
        "wrong audience": signed(aud="other"),
        "no audience": signed(aud=None),
        "no expiry": signed(exp=None),
        "no subject": signed(sub=None),
        "organization that is no id": signed(org="x"),
        "another key": sign_jws(forged_key, claims),
        "our public key used as a shared secret": jwt.encode(
            {"alg": "HS256", "kid": node.issuer.public_jwk["kid"]},
            claims,
            OctKey.import_key(node.issuer.public_jwk["x"]),
            algorithms=["HS256"],
        ),
        "changed payload": f"{header}.{part(claims | {'sub': 'other'})}.{signature}",
        "algorithm none": f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}.",
        "no token": "",
        "not a token": "x.y.z",
        "two parts": f"{header}.{payload}",
    }
    for what, token in wrong.items():
        answer = await node.client.get("/v1/organizations", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, f"{what}: {answer.text}"
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}):
        is_problem(await node.client.get("/v1/organizations", headers=headers), 401, "unauthenticated")
    assert (await node.client.get("/v1/organizations", headers={"Authorization": f"Bearer {signed()}"})).status_code == 200


async def test_starting_again_leaves_one_bootstrap_client_and_a_new_secret_replaces_the_old(node: Any) -> None:
    for secret, status in ((BOOTSTRAP[1], 200), ("another-secret-of-the-client", 401)):
        settings = node.settings.model_copy(update={"bootstrap": BootstrapSettings(client_id=BOOTSTRAP[0], client_secret=secret)})
        async with serving(create_app(settings)) as client:
            assert (await client.post("/oauth/token", data=GRANT, auth=BOOTSTRAP)).status_code == status
            assert (await client.post("/oauth/token", data=GRANT, auth=(BOOTSTRAP[0], secret))).status_code == 200
    async with node.sessions() as tx:
        assert await tx.scalar(select(func.count()).select_from(Credential)) == 1


async def test_a_departments_credential_cannot_become_the_nodes(node: Any) -> None:
    _, credential = await issue(node)
    bootstrap = BootstrapSettings(client_id=credential["client_id"], client_secret="a-secret-of-the-first-client")
    with pytest.raises(ValueError, match="BOOTSTRAP__CLIENT_ID"):
        async with serving(create_app(node.settings.model_copy(update={"bootstrap": bootstrap}))):
            pass


async def test_the_secret_is_shown_once_and_kept_as_a_hash(node: Any) -> None:
    organization, credential = await issue(node)
    listed = await node.client.get(f"/v1/organizations/{organization['organization_id']}/credentials", headers=node.authority)
    assert credential["client_secret"] not in listed.text
    assert [one["client_id"] for one in listed.json()["items"]] == [credential["client_id"]]
    async with node.sessions() as tx:
        row = await tx.get(Credential, credential["client_id"])
    assert row.secret_hash.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"roles": ["steward"]}, "/name"),
        ({"name": "x", "roles": []}, "/roles"),
        ({"name": "x", "roles": ["king"]}, "/roles/0"),
        ({"name": "\u200b", "roles": ["steward"]}, "/name"),
        ({"name": "x", "roles": ["steward"], "secret": "mine"}, "/secret"),
    ],
)
async def test_a_wrong_credential_is_refused_at_its_field(strict_node: Any, is_problem: Any, body: dict[str, Any], pointer: str) -> None:
    organization = strict_node.organization_made
    answer = await strict_node.client.post(
        f"/v1/organizations/{organization['organization_id']}/credentials", json=body, headers=strict_node.authority
    )
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]


async def test_credentials_belong_to_the_authority_and_to_their_organization(node: Any, is_problem: Any) -> None:
    organization, credential = await issue(node)
    other = await node.organization("另一局")
    path = f"/v1/organizations/{organization['organization_id']}/credentials"
    for role in ("steward", "operator", "auditor"):
        headers = node.headers(organization["organization_id"], role)
        is_problem(await node.client.post(path, json={"name": "x", "roles": ["steward"]}, headers=headers), 403)
        is_problem(await node.client.get(path, headers=headers), 403)
        is_problem(await node.client.delete(f"{path}/{credential['client_id']}", headers=headers), 403)
    foreign = f"/v1/organizations/{other['organization_id']}/credentials/{credential['client_id']}"
    is_problem(await node.client.delete(foreign, headers=node.authority), 404, "credential-not-found")
    nobody = "/v1/organizations/00000000-0000-0000-0000-000000000000/credentials"
    is_problem(await node.client.post(nobody, json={"name": "x", "roles": ["steward"]}, headers=node.authority), 404)


async def test_fifty_tokens_a_second_do_not_fill_the_processor(node: Any) -> None:
    assert (await node.client.post("/oauth/token", data=GRANT, auth=BOOTSTRAP)).status_code == 200
    begun = time.process_time()
    for _ in range(50):
        assert (await node.client.post("/oauth/token", data=GRANT, auth=BOOTSTRAP)).status_code == 200
    assert time.process_time() - begun < 0.8
