"""The resources of one example on the running service, and whoever reads them."""

import csv
import io
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import asyncpg

from dxmesh_schemas.catalog import SharingType
from exchange_svc.package.worker import Workshop
from exchange_svc.subscription.domain import Place
from exchange_svc.subscription.records import Reader as Log
from exchange_svc.subscription.records import TopicAbsent

from .cases import Row, item, said
from .oracle import Batch, Reader, Resource, Terms

MODES = ["topic", "pull", "webhook", "file", "table", "verify"]
SIGNED = {"reason": "按最小够用收窄", "approved_by": "局长"}


def body_of(rows: list[Row], codes: Iterable[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(codes)
    for row in rows:
        writer.writerow(
            [
                "" if (value := row.get(code)) is None else str(said(value)).replace("True", "true").replace("False", "false")
                for code in codes
            ]
        )
    return text.getvalue().encode()


@dataclass
class World:
    """Resources of one example and whoever reads them."""

    node: Any
    until: Any
    connection: asyncpg.Connection
    url: str
    workshop: Workshop
    secret: bytes
    resources: list[Resource] = field(default_factory=list)

    async def begin(self, case: Row) -> None:
        exchange, key = self.node.exchange, case["key"]
        items = tuple(item(code, key=(*key, "code")) for code in case["codes"])
        snapshot = await exchange.publish(items=items, key=key)
        resource = Resource(case, snapshot, set(case["codes"]))
        for number, (grant, by) in enumerate(zip(case["grants"], (exchange.requester, exchange.stranger), strict=True)):
            terms = {"where": grant["where"], "masks": grant["masks"], "modes": MODES}
            made = await exchange.granted(snapshot, by=by, items=grant["items"], terms=terms)
            found = Terms(grant["items"], grant["where"], grant["masks"], key, made["topic"])
            secrets = {"topic": b"node", "table": self.secret}
            reader = Reader(grant | {"grant_id": made["grant_id"]}, ("webhook", "table")[number], by, [found], secrets=secrets)
            if reader.mode == "webhook":
                reader.subscriber = await self.node.subscriber()
                reader.made = await self.until(partial(self._hooked, made["grant_id"], reader))
            else:
                reader.table = "t" + made["grant_id"].replace("-", "")
                asked = {"mode": "table", "url": self.url, "table": reader.table, "create": True}
                reader.made = await self.node.subscribed(made, asked, by=by)
            reader.grant["package"] = (await self.node.subscribed(made, {"mode": "file", "form": ("csv", "parquet")[number]}, by=by))[
                "path"
            ]
            resource.readers.append(reader)
        self.resources.append(resource)

    async def _hooked(self, grant_id: str, reader: Reader) -> Row | None:
        """Subscribe; asked again where the machine is too busy to prove the address within the second that is given."""
        path = f"/v1/grants/{grant_id}/subscriptions"
        answer = await self.node.post(path, {"mode": "webhook", "url": reader.subscriber.url}, by=reader.by)
        return answer.json() | {"path": f"{path}/{answer.json()['subscription_id']}"} if answer.status_code == 201 else None

    async def push(self, resource: Resource, kind: str, rows: list[Row]) -> None:
        case, codes = resource.case, [one.code for one in resource.snapshot.items]
        if kind == "delete":
            codes = list(case["key"])
        elif case["key"] and kind == "snapshot":
            rows = list({tuple(row[code] for code in case["key"]): row for row in rows}.values())
        rows = [{code: row.get(code) for code in codes} for row in rows]
        batch = await self.node.exchange.accepted(resource.snapshot.resource_id, body_of(rows, codes), params={"kind": kind})
        assert (batch["received_count"], batch["refused_row_count"]) == (len(rows), 0), batch
        resource.batches[batch["batch_id"]] = Batch(kind, rows, set(resource.shared), resource.snapshot.version)

    async def change_version(self, resource: Resource) -> None:
        """Add an item, or have one shared no more, or take one away."""
        case, what, code = resource.case, resource.case["version"], resource.case["changed"]
        items = list(resource.snapshot.items)
        if what == "add":
            items.append(item("later"))
            resource.shared.add("later")
        elif what != "same" and code != "code":
            kept = item(code, sharing_type=SharingType.NOT_SHARED) if what == "hide" else None
            items = [kept if one.code == code else one for one in items if one.code != code or kept is not None]
            resource.shared.discard(code)
        resource.snapshot = await self.node.exchange.publish(
            resource_id=resource.snapshot.resource_id, version=2, items=tuple(items), key=case["key"], schema_url="https://mesh.example/2"
        )

    async def narrow(self, resource: Resource, reader: Reader) -> None:
        grant, now = reader.grant, reader.terms[-1]
        items = [code for code in grant["fewer"] if code in resource.shared]
        narrower = {name: value for name, value in grant["narrower"].items() if value is not None}
        path = f"/v1/grants/{grant['grant_id']}/terms"
        answer = await self.node.post(path, SIGNED | {"items": items, "terms": narrower}, by=self.node.exchange.provider)
        if answer.status_code != 201:  # the filter that was asked for, or the new one, names an item that is no more
            assert answer.status_code in (403, 422), answer.text
            return
        masks = list({one["item"]: one for one in (*now.masks, *(grant["narrower"]["masks"] or []))}.values())
        where = now.where + [one for one in grant["narrower"]["where"] if one not in now.where]
        told = answer.json()
        assert told["items"] == items
        if told["topic"] != now.topic:
            reader.terms.append(Terms(items, where, masks, now.key, told["topic"]))
            reader.base = (await self.node.seen(reader.made, by=reader.by))["row_count"]

    async def sync(self) -> None:
        """Wait until whatever is pushed to has everything that is on its topic, or stands still because it must."""
        for resource in self.resources:
            for reader in resource.readers:
                count = len(await self.records(reader.terms[-1].topic))
                await self.until(partial(self._is_at, reader, reader.base + count))

    async def _is_at(self, reader: Reader, count: int) -> bool:
        seen = await self.node.seen(reader.made, by=reader.by)
        if must_stand(reader):
            return bool(seen["state"] == "paused")
        return bool(seen["row_count"] == count)

    async def records(self, topic: str) -> list[Any]:
        """Return every record of a topic, none while it does not exist."""
        found: list[Any] = []
        async with Log(self.node.kafka, topic, max_rows=10_000, max_bytes=1 << 24) as log:
            with suppress(TopicAbsent):
                place = await log.begin(Place(), None)
                while not await log.drained():
                    rows, place = await log.next(place, timeout_ms=50)
                    found += rows
        return found


def must_stand(reader: Reader) -> bool:
    """Say whether a table cannot go on by itself: rows that come again could not be told from those that are there."""
    moved = len(reader.terms) > 1
    return reader.mode == "table" and moved and (not reader.terms[-1].names or reader.terms[-1].names != reader.terms[-2].names)
