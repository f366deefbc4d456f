"""A step of the demo: what is shared on condition is granted narrower than it was asked for, and taken back."""

import asyncio
import json
import os
from typing import Any
from uuid import UUID

from dxmesh_client import Client, ProblemAnswer, publication
from dxmesh_local.posting import receiving, stopped, subscribe
from dxmesh_local.reading import read_topic, reader_of
from dxmesh_local.story import APPROVER, SYSTEM, Story, dxmesh, find_or_make, known, table_sequence, until

_AREA = "3306"


def lend(authority: Client, provider: Client, requester: Client, story: Story) -> None:
    """Publish a conditional resource, grant a part of it behind a filter and masks, read it in three ways, and end the grant."""
    story.say("5. A list that is shared on condition: granted for one city, with codes as pseudonyms, and taken back")
    resource_id = _published(authority, provider, story)
    file = story.examples / "divisions" / "areas.csv"
    kept = story.folder / "checked-areas.receipt.json"
    batch = dxmesh(story, "push", str(resource_id), os.path.relpath(file), "--kind", "snapshot", "--receipt", os.path.relpath(kept))
    papers = {"legal_basis": "政务数据共享条例 第二十条", "scenario": "本市区划核对", "purpose": "数据校核", "approved_by": APPROVER}
    where = [{"item": "cityCode", "op": "prefix", "values": [_AREA]}]
    request = requester.request_access(resource_id, **papers, terms={"where": where})
    story.require(request.state == "under_review", f"a conditional request was answered without its provider: {request}")
    masks = [{"item": "code", "mask": "pseudonym"}, {"item": "name", "mask": "keep", "prefix": 1, "suffix": 1}]
    answer = {"outcome": "granted", "approved_by": APPROVER, "items": ["code", "name", "cityCode"], "terms": {"masks": masks}}
    url = f"{provider.profile.exchange}/v1/requests/{request.request_id}/decision"
    grant_id = UUID(provider.call("POST", url, json=answer).json()["grant_id"])
    grant = requester.grant(grant_id)
    rows = _read(grant.topic, batch, story)
    first = json.dumps(rows[0], ensure_ascii=False)
    story.say(f"   asked for {_AREA}…, granted with masks: {len(rows)} of {batch['accepted_count']:,} rows, such as {first}")
    story.require(all(row["cityCode"] == _AREA for row in rows), "a row of another city came")
    story.require(not any(row["code"].startswith(_AREA) or "provinceCode" in row for row in rows), "something came that was not granted")
    until(
        lambda: table_sequence(provider, resource_id) >= batch["sequence"], "the table, which pages are read from, does not hold the batch"
    )
    pulled = list(requester.rows(grant_id))
    story.require(sorted(map(str, pulled)) == sorted(map(str, rows)), "the page shows other rows than the topic")
    with receiving(story) as receiver:
        subscribe(requester, grant_id, receiver, rows, story)
        reason = {"reason": "核对完成"}
        provider.call("POST", f"{provider.profile.exchange}/v1/grants/{grant_id}/termination", json=reason)
        story.require(_is_over(requester, grant_id), "the grant is over, and yet rows were shown")
        stopped(requester, grant_id, receiver, story)
    story.say("   the grant was ended: its rows are shown and posted no more")
    story.numbers |= {"rows_lent": len(rows)}


def _published(authority: Client, provider: Client, story: Story) -> UUID:
    fields = json.loads((story.examples / "resources" / "checked-areas.json").read_text(encoding="utf-8"))
    system = find_or_make(provider, "systems", "name", {"name": SYSTEM})
    entry = find_or_make(provider, "resources", "name", fields | {"system_id": system["system_id"]})
    resource_id = UUID(entry["resource_id"])
    if entry["state"] != "published":
        publication.put_in_force(provider, authority, entry["resource_id"], assessed_by=APPROVER)
    known(provider, resource_id)
    return resource_id


def _read(topic: str, batch: dict[str, Any], story: Story) -> list[dict[str, Any]]:
    profile = reader_of(story)
    wanted = {str(batch["batch_id"])}
    expected = 6  # districts, counties and cities of Shaoxing
    records = asyncio.run(read_topic(profile, topic, wanted, expected))
    story.require(len(records) == expected, f"{len(records)} rows came, {expected} were granted")
    return [json.loads(record.value) for record in records]


def _is_over(requester: Client, grant_id: UUID) -> bool:
    try:
        list(requester.rows(grant_id))
    except ProblemAnswer as problem:
        return problem.slug == "grant-over"
    return False
