"""The main job, end to end on real data: registered, pushed, checked, delivered, lent, opened, proven; used by `dxmesh demo`."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import polars as pl

from dxmesh_client import Client, Profile, publication
from dxmesh_client.models import Batch
from dxmesh_local.lending import lend
from dxmesh_local.reading import as_reader, read_topic
from dxmesh_local.story import APPROVER, SYSTEM, Story, dxmesh, find_or_make, known, table_sequence, until

PROVIDER = {"name": "示例市民政局", "uscc": "11330600002577014T", "level": "city", "division_code": "3306", "kind": "department"}
REQUESTER = {"name": "示例市卫生健康委员会", "uscc": "11330600MB1573660P", "level": "city", "division_code": "3306", "kind": "department"}


def run(profile: Profile, story: Story) -> dict[str, Any]:
    """Run the main job on a running mesh and return its numbers. Raises DemoFailed, dxmesh_client.errors.ClientError."""
    begun = time.perf_counter()
    with Client(profile) as authority, _departments(authority, story) as (provider, requester):
        resources = _register(authority, provider, story)
        _push(provider, resources, story)
        _push_dirty(provider, resources["streets"], story)
        _deliver(requester, resources["streets"], story)
        lend(authority, provider, requester, story)
        _open(authority, resources, story)
        _prove(authority, story)
    seconds = time.perf_counter() - begun
    numbers = story.numbers
    numbers["seconds"] = round(seconds, 2)
    numbers["rows_per_second"] = round(numbers["rows_received"] / seconds)
    return numbers


# --- 1: who, and what


@contextmanager
def _departments(authority: Client, story: Story) -> Iterator[tuple[Client, Client]]:
    story.say("1. Two departments, a system and two resources with typed items are registered")
    clients = []
    for name, fields in (("provider", PROVIDER), ("requester", REQUESTER)):
        organization = find_or_make(authority, "organizations", "uscc", fields)
        url = f"{authority.profile.catalog}/v1/organizations/{organization['organization_id']}/credentials"
        made = authority.call("POST", url, json={"name": f"demo {name}", "roles": ["steward", "cdo"]}).json()
        profile = authority.profile.as_client(made["client_id"], made["client_secret"])
        path = story.folder / f"{name}.json"
        path.write_text(profile.model_dump_json(indent=1))
        path.chmod(0o600)
        clients.append(Client(profile))
    try:
        yield clients[0], clients[1]
    finally:
        for client in clients:
            client.close()


def _register(authority: Client, provider: Client, story: Story) -> dict[str, UUID]:
    system = find_or_make(provider, "systems", "name", {"name": SYSTEM})
    resources: dict[str, UUID] = {}
    for name in ("areas", "streets"):
        fields = json.loads((story.examples / "resources" / f"{name}.json").read_text(encoding="utf-8"))
        fields |= {"system_id": system["system_id"], "standing_consent": {"approved_by": APPROVER}}
        if name == "streets":
            area = next(item for item in fields["items"] if item["code"] == "areaCode")
            area["reference"] = {"resource_id": str(resources["areas"]), "item": "code"}
        entry = find_or_make(provider, "resources", "name", fields)
        resources[name] = UUID(entry["resource_id"])
        if entry["state"] != "published":
            publication.put_in_force(provider, authority, entry["resource_id"], assessed_by=APPROVER)
        known(provider, resources[name])
        story.say(f"   {fields['name']}: {len(fields['items'])} items, key {', '.join(fields['key'])}, {resources[name]}")
    return resources


# --- 2 and 3: pushed, again, and dirty


def _push_file(story: Story, resource_id: UUID, name: str, *, kind: str = "append", expect: int = 0) -> dict[str, Any]:
    file, kept = story.examples / "divisions" / name, story.folder / f"{name}.receipt.json"
    answer: dict[str, Any] = dxmesh(
        story, "push", str(resource_id), os.path.relpath(file), "--kind", kind, "--receipt", os.path.relpath(kept), expect=expect
    )
    story.batches[name] = Batch.model_validate(answer)
    return answer


def _push(provider: Client, resources: dict[str, UUID], story: Story) -> None:
    story.say("2. The files are pushed, and pushed again")
    areas = _push_file(story, resources["areas"], "areas.csv")
    until(lambda: table_sequence(provider, resources["areas"]) >= areas["sequence"], "the areas are not in their table")
    first = _push_file(story, resources["streets"], "streets.csv")
    story.say(f"   accepted {first['accepted_count']:,} of {first['received_count']:,} rows, signed acknowledgement and receipt kept")
    again = _push_file(story, resources["streets"], "streets.csv")
    story.require(not again["is_new"] and again["acknowledgement"] == first["acknowledgement"], "pushing again changed something")
    story.say("   pushed again: the same batch, the same acknowledgement, nothing changed")


def _push_dirty(provider: Client, streets: UUID, story: Story) -> None:
    story.say("3. A file with real faults is pushed: bad rows are quarantined, and the sender reads them back")
    dirty = _push_file(story, streets, "streets-dirty.csv", kind="upsert")
    rows = dxmesh(story, "batch", "quarantine", str(dirty["batch_id"]))
    for row in rows:
        story.say(f"   row {row['row']:>3}  {row['item'] or '-':<9} {row['rule']:<10} {row['reason']}")
    story.require({row["row"] for row in rows} == {11, 32, 43, 54, 65}, f"not the five bad rows were refused: {rows}")
    other = _push_file(story, streets, "streets-other-list.csv", kind="upsert", expect=5)
    story.say(f"   a third file is rejected whole: {other['reason']}")
    until(lambda: table_sequence(provider, streets) >= dirty["sequence"], "the table does not hold the batch")
    counts = story.batches.values()
    story.numbers |= {
        "rows_received": sum(batch.received_count for batch in counts),
        "rows_accepted": sum(batch.accepted_count or 0 for batch in counts),
        "rows_quarantined": sum(batch.quarantined_count or 0 for batch in counts),
        "rows_rejected": sum(batch.rejected_count or 0 for batch in counts),
    }


# --- 4: asked for, granted, read by a consumer that knows nothing of us


def _deliver(requester: Client, streets: UUID, story: Story) -> None:
    story.say("4. The other department asks for access, and an ordinary Kafka consumer reads the rows")
    request = requester.request_access(
        streets, legal_basis="政务数据共享条例 第二十条", scenario="基层卫生机构地址核对", purpose="行政依据", approved_by=APPROVER
    )
    story.require(request.grant_id is not None, f"the standing consent did not answer: {request}")
    assert request.grant_id is not None
    grant = requester.grant(request.grant_id)
    topic = grant.topic
    delivered = [batch for name, batch in story.batches.items() if name.startswith("streets") and batch.state == "accepted"]
    expected = sum(batch.accepted_count or 0 for batch in delivered)
    story.say(f"   granted at once by standing consent; topic {topic}")
    profile = as_reader(requester, story)
    records = asyncio.run(read_topic(profile, topic, {str(batch.batch_id) for batch in delivered}, expected))
    seen = [(headers["batch"], headers["row"]) for headers in (dict(record.headers) for record in records)]
    story.require(len(seen) == len(set(seen)), "a row came twice")
    story.require(len(seen) == expected, f"{len(seen)} rows came, {expected} were accepted")
    deliveries = [
        item
        for batch in delivered
        for item in _deliveries(requester.profile, story, batch.batch_id)
        if item["view_id"] == str(grant.view_id)
    ]
    story.numbers |= {
        "rows_delivered": sum(item["delivered_count"] for item in deliveries),
        "rows_read_by_subscriber": len(seen),
    }
    story.say(f"   {len(seen):,} rows read, each once, exactly those that were accepted")


def _deliveries(profile: Profile, story: Story, batch_id: UUID) -> list[dict[str, Any]]:
    """Return a batch's deliveries, which only its provider may list, once they are recorded."""
    with Client(Profile.model_validate_json((story.folder / "provider.json").read_bytes())) as provider:
        url = f"{profile.exchange}/v1/batches/{batch_id}/deliveries"
        until(lambda: bool(provider.page(url).items), f"no delivery of batch {batch_id} is recorded")
        return provider.page(url).items


# --- 6: open to the public


def _open(authority: Client, resources: dict[str, UUID], story: Story) -> None:
    story.say("6. The resource is open data")
    portal = authority.profile.open_data
    opened = 0
    with httpx.Client(base_url=portal, timeout=30, follow_redirects=True) as public:
        for name, title in (("areas", "县级行政区划"), ("streets", "乡级行政区划")):
            wanted = int(authority.call("GET", f"{authority.profile.exchange}/v1/resources/{resources[name]}/table").json()["row_count"])
            package: dict[str, Any] = {}

            def found(title: str = title, wanted: int = wanted, package: dict[str, Any] = package) -> bool:
                answer = public.get("/api/3/action/package_search", params={"q": title, "rows": 10}).json()
                for item in answer["result"]["results"]:
                    extras = {extra["key"]: extra["value"] for extra in item.get("extras", [])}
                    if item["title"] == title and int(extras["row_count"]) == wanted:
                        package.update(item)
                        return True
                return False

            until(found, f"the dataset {title} is not open")
            rows = {item["format"].upper(): _download(public, item) for item in package["resources"]}
            story.require(len(set(rows.values())) == 1 and len(rows) >= 3, f"the downloads differ: {rows}")
            opened += rows["CSV"]
            page = public.get(f"/datasets/{package['name']}")
            story.require(page.status_code == 200 and title in page.text, "the portal page does not show the dataset")
            story.say(f"   {title}: {rows['CSV']:,} rows as {', '.join(rows)}; {portal}/datasets/{package['name']}")
    story.numbers["rows_opened"] = opened


def _download(public: httpx.Client, item: dict[str, Any]) -> int:
    body = public.get(item["url"]).raise_for_status().content
    if item["format"].upper() == "CSV":
        return pl.read_csv(body, infer_schema=False).height
    if item["format"].upper() == "JSON":
        return len(json.loads(body))
    return pl.read_parquet(body).height


# --- 7: proven


def _prove(authority: Client, story: Story) -> None:
    story.say("7. The receipt is verified offline, and the ledger balances")
    receipt = story.folder / "streets.csv.receipt.json"
    key = authority.log_key()
    dxmesh(story, "verify", os.path.relpath(receipt), "--key", key)
    text = receipt.read_text(encoding="utf-8")
    place = text.index('"payload": "') + len('"payload": "') + 40
    tampered = story.folder / "tampered.receipt.json"
    tampered.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :], encoding="utf-8")
    dxmesh(story, "verify", os.path.relpath(tampered), "--key", key, expect=4)
    story.say("   verified; a copy with one byte changed is refused")

    def balanced() -> bool:
        ledger = authority.call("GET", f"{authority.profile.audit}/v1/ledger").json()
        story.numbers["ledger"] = ledger
        return bool(ledger["balanced"]) and ledger["undecided"] == 0 and ledger["in_flight"] == 0

    until(balanced, "the ledger does not balance")
    size = int(httpx.get(f"{authority.profile.audit}/checkpoint", timeout=10).text.splitlines()[1])
    story.numbers |= {"log_entries": size, "receipt_verified": True, "tampered_receipt_refused": True, "ledger_balanced": True}
    ledger = story.numbers.pop("ledger")
    story.say(
        f"   received {ledger['received']:,} = accepted {ledger['accepted']:,} + quarantined {ledger['quarantined']:,} + rejected"
        f" {ledger['rejected']:,}; ordered {ledger['ordered']:,} = delivered {ledger['delivered']:,} + filtered"
        f" {ledger['filtered']:,} + in flight {ledger['in_flight']:,}"
    )
