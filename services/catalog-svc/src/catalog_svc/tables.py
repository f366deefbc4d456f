"""The declarative base of catalog-svc's tables, and what queries of all of them share."""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """All tables of catalog-svc; the migrations must produce the same."""


def like(text: str) -> str:
    """Return the ILIKE pattern that finds the text anywhere, its own wildcards taken literally."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
