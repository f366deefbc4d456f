"""Callers over HTTP who name what is not there, what is another's, or come with a wrong token: each gets a problem."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dxmesh_local.mesh import Mesh
from dxmesh_runtime.signing import base64url, load_key, sign_jws
from tests import patient
from tests.e2e.desk import CSV, GOOD, Desk, problem

NOT_IDS = ["x", "1", "0197c2a0-0000-7000-8000-00000000000g", "%00", "..%2f..%2fetc", "'%20or%201=1--", "𝟙", "0" * 5000]


@pytest.mark.parametrize("wrong", NOT_IDS)
@pytest.mark.parametrize(
    "path",
    [
        "exchange:/v1/batches/{}",
        "exchange:/v1/batches/{}/quarantine",
        "exchange:/v1/resources/{}/batches",
        "exchange:/v1/requests/{}",
        "exchange:/v1/grants/{}/rows",
        "catalog:/v1/resources/{}",
        "catalog:/v1/organizations/{}",
        "quality:/v1/assessments/{}",
        "audit:/v1/receipts/{}",
        "audit:/v1/ledger/batches/{}",
    ],
)
def test_what_is_no_id_is_a_problem(desk: Desk, path: str, wrong: str) -> None:
    service, _, rest = path.partition(":")
    headers = {"Authorization": f"Bearer {desk.provider.client.token()}"}
    found = problem(patient.get(getattr(desk.node.profile, service) + rest.format(wrong), headers=headers))
    assert found["status"] in (404, 422), found


@pytest.mark.parametrize("wrong", ["x", "0197c2a0-0000-7000-8000-00000000000g"])
def test_pushing_to_what_is_no_id_is_a_problem(desk: Desk, wrong: str) -> None:
    assert problem(desk.put(wrong, GOOD, {"Content-Type": CSV}))["status"] == 422
    headers = {"Authorization": f"Bearer {desk.provider.client.token()}", "Content-Type": CSV}
    answer = patient.put(desk.url(uuid4(), wrong), content=GOOD, headers=headers)
    assert problem(answer)["errors"][0]["pointer"] == "path:resource_id"


def test_anothers_things_are_not_there(desk: Desk) -> None:
    batch = desk.good_under(uuid4())
    stranger = {"Authorization": f"Bearer {desk.other.client.token()}", "Content-Type": CSV}
    exchange = desk.node.profile.exchange

    def refusal(method: str, url: str, own: object, **options: Any) -> dict[str, Any]:
        found = problem(patient.request(method, url, headers=stranger, **options))
        return {name: str(value).replace(str(own), "…") for name, value in found.items() if name not in ("trace_id", "instance")}

    unknown = uuid4()
    for method, path, own in (
        ("PUT", "/v1/resources/{}/batches/" + str(uuid4()), desk.resource_id),
        ("GET", "/v1/resources/{}/batches", desk.resource_id),
        ("GET", "/v1/batches/{}", batch.batch_id),
        ("GET", "/v1/batches/{}/quarantine", batch.batch_id),
        ("GET", "/v1/batches/{}/deliveries", batch.batch_id),
    ):
        options = {"content": GOOD} if method == "PUT" else {}
        theirs = refusal(method, exchange + path.format(own), own, **options)
        assert theirs["status"] == "404"
        assert theirs == refusal(method, exchange + path.format(unknown), unknown, **options), f"{path} tells another's thing from none"


def test_a_batch_id_is_taken_once(desk: Desk) -> None:
    batch_id = desk.good_under(uuid4()).batch_id
    again = desk.put(batch_id, GOOD, {"Content-Type": CSV})
    assert (again.status_code, again.json()["batch_id"]) == (200, str(batch_id))
    other = problem(desk.put(batch_id, GOOD + "4,丁,4\n".encode(), {"Content-Type": CSV}))
    assert (other["status"], "SHA-256" in other["detail"]) == (409, True)
    assert desk.provider.client.batch(batch_id).received_count == 3


def _token(mesh: Mesh, desk: Desk, **claims: Any) -> str:
    key = load_key(mesh.home.keys / "catalog-svc.pem")
    now = int(time.time())
    usual = {"iss": desk.node.profile.catalog, "aud": "dxmesh", "sub": "x", "iat": now - 5, "exp": now + 60}
    usual |= {"org": str(desk.provider.organization_id), "roles": ["steward"]}
    return sign_jws(key, {name: value for name, value in (usual | claims).items() if value is not None})


def test_a_token_made_with_the_nodes_key_is_good(mesh: Mesh, desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {_token(mesh, desk)}"}
    assert patient.get(f"{desk.node.profile.exchange}/v1/resources/{desk.resource_id}/batches", headers=headers).status_code == 200


def _unsigned(claims_of: str) -> str:
    return f"{base64url(json.dumps({'alg': 'none', 'typ': 'JWT'}).encode())}.{claims_of.split('.')[1]}."


def _grown(token: str) -> str:
    head, claims, signature = token.split(".")
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return f"{head}.{base64url(json.dumps(body | {'roles': ['authority']}).encode())}.{signature}"


def _foreign(token: str) -> str:
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return sign_jws(Ed25519PrivateKey.generate(), claims)


WRONG_TOKENS: dict[str, Callable[[Mesh, Desk], str | None]] = {
    "none": lambda _, __: None,
    "another scheme": lambda mesh, desk: f"Basic {_token(mesh, desk)}",
    "no token behind the scheme": lambda _, __: "Bearer",
    "expired": lambda mesh, desk: f"Bearer {_token(mesh, desk, exp=int(time.time()) - 120)}",
    "without an end": lambda mesh, desk: f"Bearer {_token(mesh, desk, exp=None)}",
    "for another audience": lambda mesh, desk: f"Bearer {_token(mesh, desk, aud='elsewhere')}",
    "of another issuer": lambda mesh, desk: f"Bearer {_token(mesh, desk, iss='https://elsewhere.example')}",
    "signed by a foreign key": lambda mesh, desk: f"Bearer {_foreign(_token(mesh, desk))}",
    "forged: not signed": lambda mesh, desk: f"Bearer {_unsigned(_token(mesh, desk))}",
    "forged: claims changed": lambda mesh, desk: f"Bearer {_grown(_token(mesh, desk))}",
    "forged: an organization that is no id": lambda mesh, desk: f"Bearer {_token(mesh, desk, org='x')}",
    "forged: roles that are no list": lambda mesh, desk: f"Bearer {_token(mesh, desk, roles=7)}",
    "no token at all": lambda _, __: "Bearer " + "x" * 3000,
    "of three empty parts": lambda _, __: "Bearer ..",
}


@pytest.mark.parametrize("make", WRONG_TOKENS.values(), ids=WRONG_TOKENS.keys())
def test_a_wrong_token_is_refused_by_every_service(mesh: Mesh, desk: Desk, make: Callable[[Mesh, Desk], str | None]) -> None:
    given = make(mesh, desk)
    headers = {"Content-Type": CSV} | ({"Authorization": given} if given else {})
    batch_id = uuid4()
    profile = desk.node.profile
    answers = [
        patient.put(desk.url(batch_id), content=GOOD, headers=headers),
        patient.get(f"{profile.exchange}/v1/grants", headers=headers),
        patient.get(f"{profile.catalog}/v1/systems", headers=headers),
        patient.get(f"{profile.quality}/v1/assessments", headers=headers),
        patient.get(f"{profile.audit}/v1/ledger", headers=headers),
    ]
    for answer in answers:
        assert problem(answer)["status"] == 401, f"{answer.url}: {answer.text}"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not desk.knows(batch_id)
