"""HTTP of rules: what a resource demands of its rows."""

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx
from dxmesh_runtime.problems import problems
from dxmesh_schemas.exchange import BatchKind
from quality_svc.catalog import store as catalog
from quality_svc.catalog.errors import ResourceNotFound
from quality_svc.rule import domain

router = APIRouter(prefix="/v1/resources", tags=["rules"])


class RuleOut(BaseModel):
    """One rule, as quarantined lines and assessments name it."""

    rule: domain.RuleKind
    items: list[str]
    dimension_local: str
    dimension_gb: str
    says: str


class RulesOut(BaseModel):
    """The rules of a resource's version in force, for one kind of batch."""

    resource_id: UUID
    resource_version: int
    kind: BatchKind
    max_quarantined_ratio: float
    items: list[RuleOut]
    next_cursor: str | None = None


@router.get("/{resource_id}/rules", responses=problems(ResourceNotFound))
async def list_rules(resource_id: UUID, _: Who, tx: Tx, kind: BatchKind = BatchKind.APPEND) -> RulesOut:
    """List what a batch of this kind must keep, and what share of its rows may break it."""
    resource = await catalog.get_in_force(tx, resource_id)
    rules = [
        RuleOut(
            rule=rule.kind,
            items=list(rule.columns),
            dimension_local=rule.dimension_local,
            dimension_gb=rule.dimension_gb,
            says=domain.says(rule),
        )
        for rule in domain.rules_of(resource, kind)
    ]
    return RulesOut(
        resource_id=resource_id,
        resource_version=resource.version,
        kind=kind,
        max_quarantined_ratio=resource.max_quarantined_ratio,
        items=rules,
    )
