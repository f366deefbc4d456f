"""What a list costs: it reads no entry it does not show."""

from typing import Any
from uuid import UUID

from sqlalchemy import inspect

from catalog_svc.form import store as forms
from catalog_svc.mount import store as mounts
from catalog_svc.resource import store as resources
from catalog_svc.system import store as systems


async def test_lists_read_no_entry_they_do_not_show(node: Any) -> None:
    bureau, system = await node.provider()
    made = await node.published(bureau, system, update_cycle="DAILY")
    await node.made("/v1/forms", {"name": "登记表", "items": [{"name": "街道代码"}]}, node.steward(bureau))
    async with node.sessions() as tx:
        listed = await resources.list_page(tx, drafts_of=None, all_drafts=True, state=None, provider=None, q=None, after=None, limit=1000)
        of_system = await systems.resources_of(tx, UUID(system["system_id"]))
        mounted = await mounts.entry(tx, UUID(made["resource_id"]))
        for resource in (*(row[0] for row in listed), *of_system, mounted[0]):
            assert {"definition", "draft"} <= inspect(resource).unloaded
        versions = await resources.list_versions(tx, UUID(made["resource_id"]), after=None, limit=1000)
        assert ["snapshot" in inspect(version).unloaded for version in versions] == [True]
        [form] = await forms.list_page(tx, of=None, after=None, limit=1000)
        assert {"items", "findings"} <= inspect(form).unloaded
