"""The worker of packages: makes what is asked for or due, one at a time, and removes what is over."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from dxmesh_runtime import broker
from dxmesh_runtime.db import Database, is_away, utc_now
from dxmesh_schemas.problem import Problem
from dxmesh_tabular.store import ObjectStore
from exchange_svc.catalog import store as catalog
from exchange_svc.enforcement.rows import TokenKeys
from exchange_svc.grant import pull
from exchange_svc.grant import store as grant_store
from exchange_svc.grant.errors import TableBehind
from exchange_svc.grant.store import Grant
from exchange_svc.package import commands, store
from exchange_svc.package.domain import State
from exchange_svc.package.making import make
from exchange_svc.package.store import Package
from exchange_svc.subscription.store import Subscription

log = structlog.get_logger(__name__)
_IDLE_SECONDS = 1.0
FORMAT = "dxmesh-package/1"


@dataclass(frozen=True, slots=True)
class Workshop:
    """What packages are made with. sign: the node's signature, a JWS; tokens: the keys of grants' pseudonyms."""

    database: Database
    objects: ObjectStore
    folder: Path
    node: str
    sign: Callable[[Mapping[str, Any]], str]
    tokens: TokenKeys

    async def run(self) -> None:
        """Make and remove packages until cancelled; several processes share the work."""
        while True:
            broker.end_if_cancelled()
            is_busy = False
            try:
                await self.tidy()
                is_busy = await self.make_next()
            except (SQLAlchemyError, OSError) as away:
                if not is_away(away):
                    raise
                log.warning("package.database_away", error=repr(away))
            if not is_busy:
                await asyncio.sleep(_IDLE_SECONDS)

    async def tidy(self) -> None:
        """Order what is due, and remove what is over from the store."""
        async with self.database.sessions.begin() as tx:
            await commands.schedule(tx, now=utc_now())
        async with self.database.sessions.begin() as tx:
            for package in await store.list_over(tx, now=utc_now()):
                if package.object_key is not None:
                    await asyncio.to_thread(self.objects.delete, package.object_key)
                package.state = State.DELETED

    async def make_next(self) -> bool:
        """Make one package; false when none waits or it could not be made now. Its row is locked meanwhile, so nobody else makes it."""
        async with self.database.sessions.begin() as tx:
            found = await store.find_waiting(tx, now=utc_now())
            if found is None:
                return False
            package, row, grant = found
            try:
                async with tx.begin_nested():
                    await self._make(tx, package, row, grant)
            except Exception as wrong:  # whatever it is, other packages and work of this process go on; the next attempt may get further
                if is_away(wrong):
                    raise
                package.failure = (wrong.detail if isinstance(wrong, Problem) else repr(wrong))[:500]
                log.warning("package.not_made", package_id=str(package.package_id), error=package.failure)
                return False
        return True

    async def _make(self, tx: Any, package: Package, row: Subscription, grant: Grant) -> None:
        view = await grant_store.get_view(tx, grant.view_id)
        readable = await pull.open_view(tx, grant, view)
        resource = (await catalog.get_resource(tx, grant.resource_id)).read()
        now = utc_now()
        expires_at = commands.term_of(row, now)
        told = {
            "format": FORMAT,
            "package_id": str(package.package_id),
            "node": self.node,
            "grant_id": str(grant.grant_id),
            "requester": grant.requester,
            "resource_id": str(grant.resource_id),
            "resource_name": resource.name,
            "resource_version": resource.version,
            "schema_url": resource.schema_url,
            "table_version": readable.version,
            "sequence": readable.sequence,
            "items": [{"code": item.code, "name": item.name, "data_type": item.data_type.value} for item in readable.granted],
            "made_at": now.isoformat(),
            "expires_at": expires_at.isoformat(),
        }
        key, form = f"packages/{package.package_id}.zip", row.settings["form"]
        ref = await asyncio.to_thread(make, self.objects, self.folder, key, readable, form, told, tokens=self.tokens, sign=self.sign)
        await tx.refresh(grant, with_for_update=True)
        if grant.view_id != view.view_id:
            raise TableBehind("the grant's terms are others since this package was begun; it is made anew")
        await commands.made(tx, package, row, grant, ref, readable, expires_at=expires_at, now=now)
