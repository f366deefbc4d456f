"""The declarative base of every table of audit-svc."""

from sqlalchemy.orm import DeclarativeBase

from dxmesh_runtime.db import COLUMN_TYPES


class Base(DeclarativeBase):
    """Tables of this service."""

    type_annotation_map = COLUMN_TYPES
