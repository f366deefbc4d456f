"""The declarative base of catalog-svc's tables."""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """All tables of catalog-svc; the migrations must produce the same."""
