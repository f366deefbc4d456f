"""Tokens: good ones name their caller, every other one is refused with what is wrong."""

import json
import time
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from dxmesh_runtime import auth, signing
from dxmesh_runtime.auth import Principals
from dxmesh_runtime.settings import AuthSettings
from dxmesh_runtime.testing import ISSUER, Tokens, listening
from dxmesh_schemas.problem import Forbidden, Unauthenticated, Unavailable

TOKENS = Tokens()
PRINCIPALS = Principals(TOKENS.auth_settings())


async def test_a_good_token_names_client_organization_and_roles() -> None:
    organization = uuid4()
    who = await PRINCIPALS.of("Bearer " + TOKENS.token(organization, "steward", "auditor"))
    assert (who.subject, who.organization_id, who.roles) == ("test-client", organization, {"steward", "auditor"})
    assert who.own_organization == organization


async def test_a_node_wide_client_has_no_organization_of_its_own() -> None:
    who = await PRINCIPALS.of("Bearer " + TOKENS.token(None, "authority"))
    with pytest.raises(Forbidden):
        _ = who.own_organization


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer not.a.token", "Bearer a.b", "Bearer ä.ö.ü"])
async def test_what_is_no_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await PRINCIPALS.of(header)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iss": "http://elsewhere.test"},
        {"aud": "another"},
        {"aud": None},
        {"sub": None},
        {"org": "not-a-uuid"},
        {"roles": 7},
        {"nbf": int(time.time()) + 3600},
    ],
    ids=lambda claims: next(iter(claims)),  # not the value: processes that share the tests must name them alike
)
async def test_a_token_with_a_wrong_claim_is_refused(claims: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated):
        await PRINCIPALS.of("Bearer " + TOKENS.token(uuid4(), "steward", **claims))


async def test_a_token_that_was_good_is_refused_once_it_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "Bearer " + TOKENS.token(uuid4(), "steward", exp=int(time.time()) + 60)
    await PRINCIPALS.of(token)
    await PRINCIPALS.of(token)
    later = time.time() + 120
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated, match="expired"):
        await PRINCIPALS.of(token)


@pytest.mark.parametrize("off_seconds", [10, 45])
@pytest.mark.parametrize(("claim", "sign"), [("exp", -1), ("nbf", 1)])
async def test_clocks_may_differ_by_half_a_minute(claim: str, sign: int, off_seconds: int) -> None:
    token = "Bearer " + TOKENS.token(uuid4(), "steward", **{claim: int(time.time()) + sign * off_seconds})
    if off_seconds <= 30:
        assert (await PRINCIPALS.of(token)).has("steward")
    else:
        with pytest.raises(Unauthenticated):
            await PRINCIPALS.of(token)


async def test_a_token_whose_key_was_taken_back_is_refused_once_the_keys_are_fetched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_KEYS_RETRY_SECONDS", 0)
    issuer, old, new = FastAPI(), Tokens(), Tokens()
    published = [old]
    issuer.get("/jwks.json")(lambda: json.loads(published[0].auth_settings().jwks or ""))
    async with listening(issuer) as url:
        principals = Principals(AuthSettings(issuer=ISSUER, jwks_url=f"{url}/jwks.json"))
        good = "Bearer " + old.token(uuid4(), "steward")
        for _ in range(2):
            assert (await principals.of(good)).has("steward")
        published[0] = new
        assert (await principals.of("Bearer " + new.token(uuid4(), "steward"))).has("steward")
        with pytest.raises(Unauthenticated):
            await principals.of(good)


async def test_of_verified_tokens_no_more_are_remembered_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_MOST_VERIFIED", 3)
    principals = Principals(TOKENS.auth_settings())
    for _ in range(10):
        await principals.of("Bearer " + TOKENS.token(uuid4(), "steward"))
        assert len(principals._verified) <= 3


async def test_a_token_signed_by_another_key_is_refused_also_under_our_key_id() -> None:
    good = TOKENS.token(uuid4(), "steward")
    header, payload, _ = good.split(".")
    forged = signing.base64url(Ed25519PrivateKey.generate().sign(f"{header}.{payload}".encode()))
    with pytest.raises(Unauthenticated):
        await PRINCIPALS.of(f"Bearer {header}.{payload}.{forged}")
    with pytest.raises(Unauthenticated):
        await PRINCIPALS.of("Bearer " + Tokens().token(uuid4(), "steward"))


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_an_algorithm_that_proves_nothing_is_refused(algorithm: str) -> None:
    _, payload, signature = TOKENS.token(uuid4(), "authority").split(".")
    header = signing.base64url(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    for last in ("", signature):
        with pytest.raises(Unauthenticated):
            await PRINCIPALS.of(f"Bearer {header}.{payload}.{last}")


async def test_an_issuer_that_was_never_seen_is_waited_for_not_blamed_on_the_caller() -> None:
    away = Principals(AuthSettings(issuer=ISSUER, jwks_url="http://127.0.0.1:9/jwks.json"))
    with pytest.raises(Unavailable):
        await away.of("Bearer " + TOKENS.token(None, "authority"))
