"""The declarative base of every table of audit-svc."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, LargeBinary, Text
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Tables of this service: numbers are bigint, texts text, bytes bytea, times timestamptz."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger, str: Text, bytes: LargeBinary, datetime: DateTime(timezone=True)}
