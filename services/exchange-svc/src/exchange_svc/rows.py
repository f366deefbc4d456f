"""What the tables of exchange-svc are declared by."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import DeclarativeBase, Mapped

from dxmesh_runtime.db import COLUMN_TYPES
from dxmesh_schemas.catalog import OrganizationRef


class Base(DeclarativeBase):
    """Tables of this service."""

    type_annotation_map = COLUMN_TYPES


class Sided:
    """The two sides of what is between departments, each as it was when that began: who asks, and whose data it is."""

    requester_id: Mapped[UUID]
    requester: Mapped[dict[str, Any]]
    provider_id: Mapped[UUID]
    provider: Mapped[dict[str, Any]]

    @property
    def requester_ref(self) -> OrganizationRef:
        """Return the organization that asks."""
        return OrganizationRef.model_validate(self.requester)

    @property
    def provider_ref(self) -> OrganizationRef:
        """Return the organization that answers."""
        return OrganizationRef.model_validate(self.provider)
