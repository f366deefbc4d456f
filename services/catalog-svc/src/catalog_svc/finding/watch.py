"""Keeps the search index of a process as the database is: loaded at the start, told of every change, compared now and then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from catalog_svc.finding import store
from catalog_svc.finding.errors import IndexNotReady
from catalog_svc.finding.index import Index
from dxmesh_runtime.db import Database
from dxmesh_runtime.health import Flag

log = structlog.get_logger(__name__)
_AT_ONCE = 200
_SLICE = 4
_GATHER_SECONDS = 0.1
_COMPARE_SECONDS = 60.0
_MAX_BACKOFF_SECONDS = 5.0
_FAILURES = (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)


class Finder:
    """The index, and the loop that keeps it current over a connection of its own.

    A change is in the index a few milliseconds after its transaction: PostgreSQL tells every process that listens. What was said
    while the connection was down is found by comparing revisions, which also happens once a minute.
    """

    def __init__(self, database: Database) -> None:
        self._engine = create_async_engine(
            database.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", json_deserializer=orjson.loads
        )
        self._changed: set[UUID] = set()
        self._taxonomies_changed = False
        self._wake = asyncio.Event()
        self._index = Index()
        self._fresh: Index | None = None  # being made in its place
        self._failure: BaseException | None = None
        self.ready = Flag("search index")

    @property
    def index(self) -> Index:
        """Return the index. Raises: IndexNotReady (503) until it was loaded once; later it is kept while the database is away."""
        if self._failure is not None:
            raise RuntimeError("the search index is no longer kept current") from self._failure
        if not self.ready:
            raise IndexNotReady("the search index is being loaded; ask again in a moment", retry_after_seconds=1)
        return self._index

    async def run(self) -> None:
        """Work until cancelled; a database that is away is waited for with capped backoff."""
        failures = 0
        try:
            while True:
                try:
                    await self._listen()
                except _FAILURES as away:
                    failures += 1
                    pause = min(0.1 * 2**failures, _MAX_BACKOFF_SECONDS)
                    log.warning("finding.interrupted", error=repr(away), retry_seconds=pause)
                    await asyncio.sleep(pause)
                else:
                    failures = 0
        finally:
            self.ready.discard()
            await self._engine.dispose()

    def ended(self, task: asyncio.Task[None]) -> None:
        """Note how the loop ended: what is no longer current is not given out."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failure = failure
            log.error("finding.failed", exc_info=failure)

    async def _listen(self) -> None:
        """Listen, load what is missing, and go on with what is heard until the connection is lost."""
        async with self._engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.add_listener(store.CHANNEL, self._heard)
            raw.add_termination_listener(lambda *_: self._wake.set())
            await self._compare(connection)
            self.ready.set()
            while not raw.is_closed():
                self._wake.clear()
                if self._taxonomies_changed:
                    await self._read_taxonomies(connection)
                if self._changed:
                    await self._apply(connection)
                    await asyncio.sleep(_GATHER_SECONDS)  # while many change, they are read together
                    continue
                try:
                    # wait_for would swallow a cancellation that comes with a change, and the service would never end
                    async with asyncio.timeout(_COMPARE_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    await self._compare(connection)
        log.warning("finding.connection_lost")

    def _heard(self, _: object, __: int, ___: str, payload: object) -> None:
        if payload == store.TAXONOMY:
            self._taxonomies_changed = True
            self._wake.set()
            return
        with suppress(ValueError):  # anyone may speak on a channel
            self._changed.add(UUID(str(payload)))
            self._wake.set()

    async def _read_taxonomies(self, connection: AsyncConnection) -> None:
        """Hold the entries of taxonomies as they are now; what belongs to them is counted under them by the next search."""
        self._taxonomies_changed = False
        found = await store.taxonomies(connection)
        for index in (self._index, self._fresh):
            if index is not None:
                index.put_taxonomies(found)

    async def _compare(self, connection: AsyncConnection) -> None:
        """Find what differs from the database: revisions, what organizations are called, and how taxonomies stand."""
        await self._read_taxonomies(connection)
        now = await store.revisions(connection)
        held = self._index.revisions
        self._changed |= {resource_id for resource_id, revision in now.items() if held.get(resource_id) != revision}
        self._changed |= held.keys() - now.keys()
        for organization_id, organization in (await store.organizations(connection)).items():
            if self._index.organization(organization_id) not in (None, organization):
                self._changed.add(organization_id)
        while self._changed:
            await self._apply(connection)

    async def _apply(self, connection: AsyncConnection) -> None:
        """Read what changed and hold it as it is now; what is no longer found there is held no longer."""
        ids = [self._changed.pop() for _ in range(min(len(self._changed), _AT_ONCE))]
        try:
            organizations = [changed for changed in ids if self._index.organization(changed) is not None]
            if organizations:
                self._changed |= set(await store.resources_of(connection, organizations))
            found = {entry.resource_id: entry for entry in await store.entries(connection, ids)}
        except BaseException:
            self._changed |= set(ids)
            raise
        for number, resource_id in enumerate(ids, 1):
            for index in (self._index, self._fresh):
                if index is None:
                    continue
                if (entry := found.get(resource_id)) is not None:
                    index.put(entry)
                else:
                    index.remove(resource_id)
            if number % _SLICE == 0:
                await asyncio.sleep(0)  # searches are answered in between
        if self._index.is_worn and self._fresh is None:
            await self._renew(connection)

    async def _renew(self, connection: AsyncConnection) -> None:
        """Make the index anew, without the positions left behind; changes go into both meanwhile."""
        self._fresh = Index()
        self._fresh.put_taxonomies(self._index.taxonomies)
        try:
            for number, resource_id in enumerate(list(self._index.revisions), 1):
                if (entry := self._index.find(resource_id)) is not None:
                    self._fresh.put(entry)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
                    if self._changed:
                        await self._apply(connection)
            self._index = self._fresh
        finally:
            self._fresh = None


@asynccontextmanager
async def finding(database: Database) -> AsyncIterator[Finder]:
    """Run a finder while the service serves."""
    finder = Finder(database)
    task = asyncio.create_task(finder.run(), name="finding")
    task.add_done_callback(finder.ended)
    try:
        yield finder
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
