"""What is wired for Kafka: the consumer of every topic, and the clock that signs what was appended in between."""

import asyncio

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from audit_svc.checkpoint import commands as checkpoints
from audit_svc.checkpoint.commands import Pace
from audit_svc.checkpoint.consumers import last_announced
from audit_svc.checkpoint.domain import Signer
from audit_svc.ledger.consumers import HANDLERS
from audit_svc.log import commands as log_commands
from audit_svc.log import store as log_store
from audit_svc.log.consumers import recorder
from audit_svc.settings import Settings
from dxmesh_runtime import signing, worker
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database, connect, utc_now
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.audit import CheckpointPublished
from dxmesh_schemas.events import topics

log = structlog.get_logger(__name__)
_RETRY_SECONDS = 1.0
_AWAY = (DBAPIError, OSError, TimeoutError)
_PACE_SECONDS = 0.5  # between two groups: a commit costs the same for one event and for a hundred


def consumer(settings: Settings, database: Database, signer: Signer, pace: Pace) -> Consumer:
    """Return the consumer that records every event topic but the log's own."""
    recorded = {*topics(), *settings.log.topics} - {CheckpointPublished.TOPIC}
    return Consumer(
        "audit",
        settings.kafka,
        database,
        HANDLERS,
        every=recorder(signer, pace),
        topics=sorted(recorded),
        max_group=settings.log.max_group,
        pace_seconds=_PACE_SECONDS,
        together=True,
    )


async def verify(database: Database, signer: Signer, kafka: KafkaSettings | None = None) -> None:
    """Check that what is stored gives what was signed, and continues what was announced on the broker.

    A database or broker that is away is waited for. Raises: TreeCorrupt.
    """
    while True:
        try:
            announced = await last_announced(kafka, signer) if kafka is not None else None
            async with database.sessions.begin() as tx:
                tree = await log_commands.check_head(tx)
                await checkpoints.check_signed(tx, tree, signer)
                if announced is not None:
                    await checkpoints.check_announced(tx, tree, announced)
                log.info("log.verified", size=tree.size, signed_size=tree.signed_size)
                return
        except (*_AWAY, KafkaError) as away:
            log.warning("log.verification_waits", error=repr(away))
            await asyncio.sleep(_RETRY_SECONDS)


async def sign_in_time(database: Database, signer: Signer, pace: Pace) -> None:
    """Sign and announce what the pace held back while events came in, until cancelled."""
    while True:
        try:
            await sign_once(database, signer, pace)
            await asyncio.sleep(pace.sign_seconds)
        except _AWAY as away:
            log.warning("checkpoint.database_away", error=repr(away))
            await asyncio.sleep(_RETRY_SECONDS)


async def sign_once(database: Database, signer: Signer, pace: Pace) -> None:
    """Sign and announce what is due; the head's row is locked only when something is."""
    async with database.sessions() as session:
        tree = await log_store.get_tree(session)
        if tree.signed_size == tree.size and tree.published_size == tree.size:
            return
    async with database.sessions.begin() as tx:
        tree = await log_store.get_tree(tx, lock=True)
        await checkpoints.sign_if_due(tx, tree, signer, pace, now=utc_now())


def _pace(settings: Settings) -> Pace:
    return Pace(settings.log.checkpoint_seconds, settings.log.publish_seconds)


async def run(settings: Settings) -> None:
    """Verify the log, then record until cancelled."""
    signer = Signer(settings.log.origin, signing.load_key(settings.signing.key_file))
    pace = _pace(settings)
    database = connect(settings.database)
    try:
        await verify(database, signer, settings.kafka)
    finally:
        await database.close()
    await worker.run_worker(
        settings,
        name="audit-svc",
        tasks=lambda database: [consumer(settings, database, signer, pace).run(), sign_in_time(database, signer, pace)],
    )


async def replay(settings: Settings) -> tuple[int, int]:
    """Record again what was parked; return how many took effect and how many were parked again."""
    signer = Signer(settings.log.origin, signing.load_key(settings.signing.key_file))
    return await worker.replay(settings, lambda database: [consumer(settings, database, signer, _pace(settings))])
