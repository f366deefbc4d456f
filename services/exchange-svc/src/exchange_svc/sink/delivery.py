"""Keeping a subscription's rows in the requester's table: its own place says how far it is, so each row takes effect once."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import asyncpg

from dxmesh_runtime.db import utc_now
from dxmesh_schemas.problem import Problem
from exchange_svc.catalog import store as catalog
from exchange_svc.destinations import DestinationUnknown
from exchange_svc.grant import domain as grants
from exchange_svc.grant import store as grant_store
from exchange_svc.secrets import unseal
from exchange_svc.sink import database, domain
from exchange_svc.sink.database import AWAY, Shape
from exchange_svc.sink.domain import Target
from exchange_svc.subscription import commands as subscriptions
from exchange_svc.subscription.courier import DestinationFailed, Means
from exchange_svc.subscription.domain import Place, owner_of
from exchange_svc.subscription.store import Standing
from exchange_svc.subscription.topic import Topic


class Table:
    """The courier of one table."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._topic = Topic(means)
        self._open = AsyncExitStack()
        self._connection: asyncpg.Connection | None = None
        self._shape: tuple[object, Shape] | None = None

    async def close(self) -> None:
        """Let go of every connection."""
        await self._leave()
        await self._topic.close()

    async def _leave(self) -> None:
        self._connection = self._shape = None
        await self._open.aclose()

    async def step(self, standing: Standing) -> None:
        """Bring the next rows to the table, with the place in the same transaction.

        Raises: DestinationFailed, TopicAbsent, KafkaError, OSError.
        """
        row = standing.subscription
        sealed = unseal(self._means.key, owner_of(row.subscription_id), row.sealed)
        target = Target.model_validate_json(sealed)
        try:
            connection, shape = await self._enter(standing, target)
            before = await database.place_of(connection, target, row.subscription_id, row.epoch)
        except AWAY as away:
            raise await self._failed(away) from away
        except DestinationUnknown as unknown:
            raise DestinationFailed(unknown.detail) from unknown
        except Problem as wrong:
            await self._leave()
            raise DestinationFailed(wrong.detail, is_theirs=True) from wrong
        except asyncpg.PostgresError as refused:
            raise await self._refused(refused, target, () if self._shape is None else self._shape[1].key) from refused
        place = before or row.read_place
        emptied: Sequence[str] = ()
        if place.topic not in ("", standing.view.topic):  # the new topic has everything in the new form, which the table has by now
            emptied, is_same_key = await self._beside(standing, place.topic)
            if not shape.key or not is_same_key:
                raise await self._cannot_tell("the grant's rows come in another form")
            place = Place()
        rows, at, behind = await self._topic.next(standing, place)
        if not rows:
            return
        if (
            before is not None
            and not shape.key
            and at.topic == before.topic
            and any(at.offsets.get(p, 0) < o for p, o in before.offsets.items())
        ):
            raise await self._cannot_tell("the topic was made anew")
        try:
            kept = await database.keep(
                connection,
                target,
                shape,
                rows,
                emptied=emptied,
                subscription_id=row.subscription_id,
                epoch=row.epoch,
                before=before,
                behind=behind,
            )
        except AWAY as away:
            raise await self._failed(away) from away
        except asyncpg.PostgresError as refused:
            raise await self._refused(refused, target, shape.key) from refused
        if not kept:
            await self._topic.close()
            return
        async with self._means.sessions.begin() as tx:
            await subscriptions.delivered(tx, row.subscription_id, epoch=row.epoch, behind=behind, row_count=len(rows), now=utc_now())

    async def _enter(self, standing: Standing, target: Target) -> tuple[asyncpg.Connection, Shape]:
        """Return the connection, and the shape rows have under the view as it is now; the table is looked at when that changed."""
        settings = self._means.settings
        if self._connection is not None and self._connection.is_closed():
            await self._leave()
        if self._connection is None:
            entering = database.connected(target, settings.allowed_networks, settings.answer_seconds)
            self._connection = await self._open.enter_async_context(entering)
        async with self._means.sessions() as tx:
            resource = (await catalog.get_resource(tx, standing.grant.resource_id)).read()
        now = (standing.view.view_id, resource.version)
        if self._shape is None or self._shape[0] != now:
            told = grants.snapshot(standing.view.open_view, resource)
            items = () if told is None else told.items
            shape = Shape(tuple(domain.columns_of(items, resource)), () if told is None else told.key)
            await database.prepare(self._connection, target, shape, may_create=bool(standing.subscription.settings["create"]))
            self._shape = (now, shape)
        return self._connection, self._shape[1]

    async def _beside(self, standing: Standing, topic: str) -> tuple[list[str], bool]:
        """Return the items that rows of a former topic had beside those of now, and whether its keys named rows as those of now do."""
        async with self._means.sessions() as tx:
            resource = (await catalog.get_resource(tx, standing.grant.resource_id)).read()
            former = await grant_store.get_view_of(tx, topic)
        before, now = former.open_view, standing.view.open_view
        return [item for item in before.items if item not in now.items], grants.naming(before, resource) == grants.naming(now, resource)

    async def _cannot_tell(self, why: str) -> DestinationFailed:
        """Let go of everything: rows without a key that come again would be there twice."""
        await self.close()
        return DestinationFailed(
            f"{why}, and rows without a key cannot be told from those that are there: empty the table, resume, and replay", is_theirs=True
        )

    async def _failed(self, error: BaseException, *, is_theirs: bool = False) -> DestinationFailed:
        """Let go of the connection and of what was read: it is read again from the place the table has then."""
        await self.close()
        return DestinationFailed(f"the database refuses: {database.say(error)}", is_theirs=is_theirs)

    async def _refused(self, refused: asyncpg.PostgresError, target: Target, key: Sequence[str]) -> DestinationFailed:
        """Say what lets the user do what it may not do any more."""
        failed = await self._failed(refused, is_theirs=True)
        if isinstance(refused, asyncpg.InsufficientPrivilegeError):
            failed.reason += f"; run: {domain.let(target, key)}"
        return failed
