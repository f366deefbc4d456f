"""The database: engine, sessions, and the one transaction of a request."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import asyncpg
import orjson
import uuid_utils
from fastapi import Depends, Request
from sqlalchemy import BigInteger, DateTime, LargeBinary, Select, Text, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from dxmesh_runtime.settings import DatabaseSettings

QueryT = TypeVar("QueryT", bound=Select[*tuple[Any, ...]])

COLUMN_TYPES: dict[Any, Any] = {
    int: BigInteger,
    str: Text,
    bytes: LargeBinary,
    datetime: DateTime(timezone=True),
    dict[str, Any]: JSONB,
    list[Any]: JSONB,
    list[str]: JSONB,
    list[dict[str, Any]]: JSONB,
}
"""The `type_annotation_map` of every service's tables: numbers are bigint, texts text, times timestamptz, dicts and lists jsonb."""


@dataclass(frozen=True, slots=True)
class Database:
    """A connection pool, and what is made from it: sessions, and connections on which each statement is a transaction."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    autocommit: AsyncEngine

    async def close(self) -> None:
        """Close every pooled connection."""
        await self.engine.dispose()


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def connect(settings: DatabaseSettings) -> Database:
    """Open the pool; connections are made on first use, and those a server has closed are left out, so a restarted one heals by itself.

    A closed connection is known without asking: the system says so as the server dies. A ping would cost three round trips each time.
    """
    engine = create_async_engine(
        settings.url,
        pool_size=settings.pool_size,
        max_overflow=0,  # a connection opened for one use and closed again costs more than waiting for one
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # an error is logged, and the values it was about are nobody's to read there
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    return Database(engine, async_sessionmaker(engine, expire_on_commit=False), autocommit)


def _refuse_closed(connection: Any, *_: object) -> None:
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError("the server closed this connection; those of its age are closed as well")


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """Open the request's transaction; it ends before the answer leaves (scope="function")."""
    async with request.state.sessions.begin() as tx:
        yield tx


Tx = Annotated[AsyncSession, Depends(transaction, scope="function")]


def locked(query: QueryT, *, of: type | None = None, skip_locked: bool = False, share: bool = False, key_share: bool = False) -> QueryT:
    """Return the query with its rows held until the transaction ends, and read as they are once they are held.

    A row that the transaction read before would else keep what it was then, and a decision rest on what another has changed since.
    of: the table whose rows are held, of those joined. skip_locked: leave out what another transaction holds. share: let others hold them
    so as well. key_share: let others refer to them meanwhile (with `share`: change all but what they are referred to by).
    """
    held = query.with_for_update(of=of, skip_locked=skip_locked, read=share, key_share=key_share)
    return held.execution_options(populate_existing=True)


_AWAY = (
    ConnectionError,
    PoolTimeout,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
)
_UNSTORABLE = (
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.UntranslatableCharacterError,
    asyncpg.DatetimeFieldOverflowError,
    asyncpg.NumericValueOutOfRangeError,
)


def is_away(error: BaseException) -> bool:
    """Say whether an error means that the database cannot be reached now, so that trying again later is right."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _AWAY) or (isinstance(seen, DBAPIError) and seen.connection_invalidated):
            return True
        seen = getattr(seen, "orig", None) or seen.__cause__
    return False


def is_unstorable(error: BaseException) -> bool:
    """Say whether an error means that no column holds a value that was given: a time out of range, too great a number, U+0000."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _UNSTORABLE) or (isinstance(seen, asyncpg.DataError) and isinstance(seen.__cause__, OverflowError)):
            return True
        seen = getattr(seen, "orig", None) or seen.__cause__
    return False


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


def uuid7() -> UUID:
    """Return an identifier that sorts by its time (RFC 9562 section 5.7)."""
    return UUID(int=uuid_utils.uuid7().int)
