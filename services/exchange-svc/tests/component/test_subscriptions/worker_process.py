"""A worker of subscriptions in a process of its own: told the database, the broker and the key of the seal, in JSON."""

import asyncio
import json
import sys

from dxmesh_runtime.db import connect
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings
from exchange_svc.subscription.courier import Means
from exchange_svc.subscription.settings import SubscriptionsSettings
from exchange_svc.subscription.worker import Worker
from exchange_svc.worker import COURIERS


async def main(url: str, bootstrap_servers: str, key: str) -> None:
    database = connect(DatabaseSettings(url=url))
    settings = SubscriptionsSettings(allowed_networks=("127.0.0.0/8",), poll_seconds=0.1, answer_seconds=60)
    kafka = KafkaSettings(bootstrap_servers=bootstrap_servers)
    await Worker(database, Means(database.sessions, kafka, settings, bytes.fromhex(key), "330600.dxmesh"), COURIERS).run()


if __name__ == "__main__":
    asyncio.run(main(*json.loads(sys.argv[1])))
