"""The keeper brings the broker to what the database says, whoever or whatever changed it."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

from dxmesh_local.kafka import Kafka
from exchange_svc.reader import access, domain
from exchange_svc.reader.store import Reader
from exchange_svc.reader.worker import drift


async def test_what_somebody_changed_on_the_broker_is_put_right_and_counted(kept: Any) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    right = await kept.on_broker(reader["user_name"])
    more = domain.Entry(2, "dxmesh.exchange.grant", 3, f"User:{reader['user_name']}", "*", 3, 3)
    theirs = domain.Entry(2, "dxmesh.exchange.grant", 3, f"User:{uuid4()}", "*", 3, 3)
    async with access.connected(kept.kafka) as there:
        await there.forbid(sorted(right[1]))
        await there.remove([reader["user_name"]])
        await there.allow([more, theirs])

    async def mended() -> bool:
        return await kept.on_broker(reader["user_name"]) == right

    await kept.until(mended, "the broker was not put right")
    assert await kept.read_one(reader, grant["topic"]) == b"first", "the password is the same"
    async with access.connected(kept.kafka) as there:
        assert theirs in await there.entries(), "what is not a reader's is left alone"
        await there.forbid([theirs])


async def test_the_same_passwords_work_on_a_broker_that_lost_its_disk(kept: Any, secured_kafka: Kafka) -> None:
    _, grant = await kept.granted()
    reader = await kept.reader()
    await asyncio.to_thread(secured_kafka.empty)
    await kept.agreed(reader)
    await kept.write(grant["topic"], b"again")
    assert await kept.read_one(reader, grant["topic"]) == b"again"


async def test_of_two_keepers_one_works_and_the_other_takes_over(kept: Any) -> None:
    _, grant = await kept.granted()
    first = await kept.reader()
    other = kept.keeping(kept.database, kept.kafka, kept.key)
    try:
        await kept.ended(kept.keeper)
        second = await kept.reader(name="second")
        assert {await kept.read_one(reader, grant["topic"]) for reader in (first, second)} == {b"first"}
    finally:
        await kept.ended(other)


async def test_a_reader_sealed_by_another_key_is_told_as_drift_until_it_has_a_new_password(kept: Any) -> None:
    await kept.ended(kept.keeper)
    _, grant = await kept.granted()
    told = (await kept.exchange.client.post("/v1/readers", json={"name": "clinics"}, headers=kept.steward())).json()
    other = kept.keeping(kept.database, kept.kafka, bytes(32))
    try:

        async def drifted() -> bool:
            return bool(drift._value.get() == 1)

        await kept.until(drifted, "the drift is not told")
        assert not (await kept.on_broker(told["user_name"]))[0]
    finally:
        await kept.ended(other)
    right = kept.keeping(kept.database, kept.kafka, kept.key)
    try:
        await kept.agreed(told)
        assert await kept.read_one(told, grant["topic"]) == b"first"

        async def settled() -> bool:
            return bool(drift._value.get() == 0)

        await kept.until(settled, "the drift is not told as over")
    finally:
        await kept.ended(right)


async def test_no_password_is_kept_that_anybody_could_use(kept: Any) -> None:
    reader = await kept.reader()
    async with kept.exchange.sessions() as tx:
        row = await tx.get_one(Reader, UUID(reader["reader_id"]))
        text = str((await tx.connection()) and {name: getattr(row, name) for name in Reader.__table__.columns.keys()})  # noqa: SIM118
    assert reader["password"] not in text
    assert len(row.sealed) > 64
    listed = await kept.exchange.client.get("/v1/readers", headers=kept.steward())
    assert [one["reader_id"] for one in listed.json()["items"]] == [reader["reader_id"]]
    assert "password" not in listed.text
