import base64
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

import pytest

from catalog_svc.token import domain
from catalog_svc.token.errors import InvalidClient, InvalidRequest, InvalidScope, TokenRefused, UnsupportedGrantType

FORM = "application/x-www-form-urlencoded"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def form(**fields: str) -> bytes:
    return urlencode({"grant_type": "client_credentials"} | fields).encode()


def test_the_client_is_read_from_the_form() -> None:
    found = domain.read_request(None, FORM, form(client_id="a", client_secret="b", scope="auditor operator"))
    assert found == domain.TokenRequest("a", "b", ("auditor", "operator"))


def test_the_client_is_read_from_basic_percent_decoded() -> None:
    assert domain.read_request(basic("a%20b:c%3Ad"), FORM + "; charset=utf-8", form()) == domain.TokenRequest("a b", "c:d", None)


@pytest.mark.parametrize(
    ("authorization", "content_type", "body", "refused"),
    [
        (None, None, b"", InvalidRequest),
        (None, "application/json", b'{"grant_type":"client_credentials"}', InvalidRequest),
        (None, FORM, b"", InvalidRequest),
        (None, FORM, b"grant_type=client_credentials&grant_type=client_credentials", InvalidRequest),
        (None, FORM, b"grant_type=client_credentials&client_id=%FF&client_secret=x", InvalidRequest),
        (None, FORM, b"\xff\xfe", InvalidRequest),
        (None, FORM, "&".join(f"a{n}=1" for n in range(30)).encode(), InvalidRequest),
        (None, FORM, b"grant_type=password&username=a&password=b", UnsupportedGrantType),
        (None, FORM, form(), InvalidClient),
        (None, FORM, form(client_id="a"), InvalidClient),
        (basic("a:b"), FORM, form(client_id="a", client_secret="b"), InvalidRequest),
        (basic("a:b"), FORM, form(client_id="other"), InvalidRequest),
        ("Bearer x", FORM, form(), InvalidClient),
        ("Basic ???", FORM, form(), InvalidClient),
        ("Basic", FORM, form(), InvalidClient),
        (basic("nocolon"), FORM, form(), InvalidClient),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), FORM, form(), InvalidClient),
        (basic("%FF:a"), FORM, form(), InvalidClient),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_its_code(
    authorization: str | None, content_type: str | None, body: bytes, refused: type[TokenRefused]
) -> None:
    with pytest.raises(refused):
        domain.read_request(authorization, content_type, body)


def test_a_token_carries_all_roles_or_those_asked_for() -> None:
    assert domain.granted_roles(["operator", "auditor"], None) == ["auditor", "operator"]
    assert domain.granted_roles(["operator", "auditor"], ()) == ["auditor", "operator"]
    assert domain.granted_roles(["operator", "auditor"], ("operator",)) == ["operator"]
    with pytest.raises(InvalidScope):
        domain.granted_roles(["operator"], ("authority",))


@pytest.mark.parametrize("organization", [None, UUID(int=7)])
def test_claims_name_the_organization_only_when_there_is_one(organization: UUID | None) -> None:
    now = datetime(2026, 11, 22, 8, tzinfo=UTC)
    found = domain.claims(
        issuer="i",
        audience="a",
        client_id="c",
        organization_id=organization,
        roles=["steward"],
        token_id="t",
        now=now,
        lifetime_seconds=900,
    )
    assert found["exp"] - found["iat"] == 900
    assert found["iat"] == now.timestamp()
    assert found.get("org") == (str(organization) if organization else None)
    assert ("org" in found) == (organization is not None)
