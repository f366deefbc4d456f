"""Client credentials of organizations over HTTP (the data authority)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.credential import commands, store
from catalog_svc.credential.domain import Role
from catalog_svc.credential.errors import CredentialNotFound, TooManyChecks
from catalog_svc.credential.hashing import SecretChecks
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization import store as organizations
from catalog_svc.organization.errors import OrganizationNotFound
from dxmesh_runtime.auth import Authority
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_text, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name

router = APIRouter(prefix="/v1/organizations/{organization_id}/credentials", tags=["credentials"], dependencies=[Depends(json_body)])


async def _checks(request: Request) -> SecretChecks:
    checks: SecretChecks = request.state.secret_checks
    return checks


Checks = Annotated[SecretChecks, Depends(_checks)]


class CredentialIn(BaseModel):
    """A credential to give out."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))]


class CredentialOut(BaseModel):
    """A credential, without its secret."""

    model_config = ConfigDict(from_attributes=True)
    client_id: str
    organization_id: UUID
    name: str
    roles: list[Role]
    created_at: datetime
    revoked_at: datetime | None


class CredentialIssued(CredentialOut):
    """A new credential; the secret is shown this once."""

    client_secret: str


@router.post("", status_code=201, responses=problems(*BODY_PROBLEMS, OrganizationNotFound, Forbidden, TooManyChecks))
async def create(organization_id: UUID, body: CredentialIn, _: Authority, checks: Checks, tx: Tx, response: Response) -> CredentialIssued:
    """Give an organization a credential; keep the secret, it is not shown again."""
    row, secret = await commands.create(tx, checks, organization_id, name=body.name, roles=body.roles, now=utc_now())
    response.headers["Cache-Control"] = "no-store"
    return CredentialIssued(**CredentialOut.model_validate(row).model_dump(), client_secret=secret)


@router.get("", response_model=Page[CredentialOut], responses=problems(OrganizationNotFound, Forbidden, CursorInvalid))
async def list_credentials(
    organization_id: UUID, _: Authority, tx: Tx, limit: Limit = 50, cursor: CursorText = None
) -> Slice[store.Credential]:
    """List an organization's credentials, revoked ones too."""
    await organizations.get(tx, organization_id)
    rows = await store.list_of(tx, organization_id, after=after_text(cursor), limit=limit)
    return cut(rows, limit, lambda row: row.client_id)


@router.delete("/{client_id}", status_code=204, responses=problems(CredentialNotFound, Forbidden))
async def revoke(organization_id: UUID, client_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9._~-]{1,100}$")], _: Authority, tx: Tx) -> None:
    """End a credential: it gets no new token; tokens given out live to their own end (15 minutes at most)."""
    await commands.revoke(tx, organization_id, client_id, now=utc_now())
