"""What is wired for Kafka: the consumers of this service, the delivery worker, their replay, and the rebuilding of a table."""

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from dxmesh_runtime import signing, worker
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database, connect, utc_now
from dxmesh_schemas.exchange_terms import Mode
from dxmesh_tabular.store import ObjectStore
from exchange_svc.api.worker import run_rollup
from exchange_svc.batch import consumers as batches
from exchange_svc.catalog import consumers as catalog
from exchange_svc.clock.worker import teller
from exchange_svc.delivery import consumers as deliveries
from exchange_svc.delivery.worker import run_delivery
from exchange_svc.enforcement.rows import token_keys
from exchange_svc.lag.worker import run_lag
from exchange_svc.offer.worker import OFFERS
from exchange_svc.package.worker import Workshop
from exchange_svc.reader.worker import run_readers
from exchange_svc.request import waiting
from exchange_svc.secrets import derived
from exchange_svc.settings import Settings
from exchange_svc.sharing_list import consumers as lists
from exchange_svc.sink.delivery import Table
from exchange_svc.subscription.courier import Means
from exchange_svc.subscription.worker import Couriers
from exchange_svc.subscription.worker import Worker as Subscriptions
from exchange_svc.table import commands as table_commands
from exchange_svc.table import consumers as tables
from exchange_svc.table.errors import TableNotBegun
from exchange_svc.table.worker import run_upkeep
from exchange_svc.webhook.delivery import Webhook

PACKAGE = "dxmesh-package+jws"
COURIERS: Couriers = {Mode.WEBHOOK: Webhook, Mode.TABLE: Table}
_REPLICA_SECONDS = 0.1  # between two groups of the catalogue's changes
_RECORD_SECONDS = 0.5  # between two groups of deliveries that are noted: nobody waits for the note
_FOLD_SECONDS = 2.0  # between two folds of a partition: a commit to a Delta table costs the same for one batch and for a hundred


def consumers(settings: Settings, database: Database) -> list[Consumer]:
    """Return this service's consumers, each with a group and inbox of its own so that none waits for another."""
    objects = ObjectStore.open(settings.object_store.url)
    return [
        Consumer("exchange-catalog", settings.kafka, database, catalog.HANDLERS, pace_seconds=_REPLICA_SECONDS, together=True),
        Consumer("exchange-lists", settings.kafka, database, lists.HANDLERS, pace_seconds=_REPLICA_SECONDS, together=True),
        Consumer("exchange", settings.kafka, database, batches.HANDLERS, together=True),
        Consumer(
            "exchange-delivery",
            settings.kafka,
            database,
            deliveries.handlers(settings.kafka, settings.delivery),
            pace_seconds=_RECORD_SECONDS,
            together=True,
        ),
        Consumer("exchange-table", settings.kafka, database, tables.handlers(objects), pace_seconds=_FOLD_SECONDS),
    ]


async def run(settings: Settings) -> None:
    """Run the relay, the consumers, the delivery worker, the workers of subscriptions, of tables' upkeep and of readers until cancelled."""
    key = signing.load_key(settings.signing.key_file)
    keys = token_keys(derived(key, "pseudonym"))
    seal_key = derived(key, "subscription")

    def tasks(database: Database) -> Sequence[Coroutine[Any, Any, None]]:
        own = [
            run_delivery(settings, keys, settings.delivery),
            Subscriptions(
                database, Means(database.sessions, settings.kafka, settings.subscriptions, seal_key, settings.node.origin), COURIERS
            ).run(),
            teller(settings.policy.read()).run(database),
            Workshop(
                database,
                ObjectStore.open(settings.object_store.url),
                settings.staging.folder / "packages",
                settings.node.code,
                partial(signing.sign_jws, key, typ=PACKAGE),
                keys,
            ).run(),
            run_upkeep(database, ObjectStore.open(settings.object_store.url), settings.table),
            OFFERS.run(database),
            waiting.teller(settings.policy.read(), settings.public_url).run(database),
            run_rollup(database, settings.apis),
            run_lag(database, settings.kafka, settings.lag),
        ]
        if settings.reader.told(settings.kafka) is not None:
            own.append(run_readers(database, settings.kafka, derived(key, "readers"), settings.reader))
        return [*(consumer.run() for consumer in consumers(settings, database)), *own]

    await worker.run_worker(settings, name="exchange-svc", tasks=tasks)


async def replay(settings: Settings) -> tuple[int, int]:
    """Handle again what the consumers parked; return how many records took effect and how many were parked again."""
    return await worker.replay(settings, lambda database: consumers(settings, database))


async def rebuild_table(settings: Settings, resource_id: str) -> str:
    """Make a resource's table anew from its accepted batches; return what was done. Raises: TableNotBegun (404); see `rebuild`."""
    try:
        resource = UUID(resource_id)
    except ValueError:
        raise TableNotBegun(f"{resource_id} is not the id of a resource") from None
    database = connect(settings.database)
    try:
        async with database.sessions.begin() as tx:
            row = await table_commands.rebuild(tx, ObjectStore.open(settings.object_store.url), resource, now=utc_now())
        return f"{row.table_key}: {row.row_count} rows of the batches up to {row.sequence}, version {row.version}"
    finally:
        await database.close()
