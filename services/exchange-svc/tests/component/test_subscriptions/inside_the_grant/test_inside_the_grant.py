"""Whatever is granted, pushed and changed: what leaves by every way is inside the grant, and all of it, as plain Python judges it."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dxmesh_local.kafka import Kafka
from dxmesh_runtime import signing
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.enforcement.rows import token_keys
from exchange_svc.package.worker import Workshop
from exchange_svc.secrets import derived

from .cases import Row, a_case, a_lively_case
from .checks import check
from .world import World

EXAMPLES = int(os.environ.get("DXMESH_PROPERTY_EXAMPLES", "2"))


@pytest.fixture
def kafka_settings(kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


@settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(cases=st.tuples(a_lively_case(), st.one_of(a_case(("code", "day")), a_case(("code",))), a_case(())))
async def test_what_leaves_is_inside_the_grant_and_all_of_it(
    node: Any, until: Any, fresh_database: Any, tmp_path: Path, cases: tuple[Row, ...]
) -> None:
    url = (await fresh_database("")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    key = signing.load_key(tmp_path / "node.pem")
    secret = derived(key, "pseudonym")
    sign = partial(signing.sign_jws, key, typ="dxmesh-package+jws")
    workshop = Workshop(node.database, node.exchange.objects, tmp_path / "packages", "330600", sign, token_keys(secret))
    world = World(node, until, connection, f"{url}?sslmode=disable", workshop, secret)
    for case in cases:
        await world.begin(case)
    for step in range(3):
        for resource in world.resources:
            if step == 1:
                await world.change_version(resource)
            for kind, rows in resource.case["batches"][2 * step : 2 * step + 2]:
                await world.push(resource, kind, rows)
            for reader in resource.readers if step == 2 else ():  # what came last is on the former topic, and nobody has taken it
                if reader.grant["narrows"]:
                    await world.narrow(resource, reader)
        await node.flow()
        if step != 1:
            async with node.working():
                await world.sync()
    await node.exchange.fold()
    for resource in world.resources:
        for reader in resource.readers:
            await check(world, resource, reader)
    await connection.close()
