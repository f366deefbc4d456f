"""What an approved scenario grants by itself: every condition, broken once."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from dxmesh_schemas.catalog import (
    DataItem,
    DataType,
    Level,
    OpenType,
    OrganizationKind,
    OrganizationRef,
    ResourceSnapshot,
    SharingType,
    UpdateCycle,
)
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.catalog_lists import (
    ListEntryChanged,
    ListEntryEvent,
    ScenarioApproval,
    ScenarioData,
    ScenarioRequesters,
    ScenarioTerms,
)
from dxmesh_schemas.exchange_terms import Drop, Mode, Narrowing, Prefix, Terms
from exchange_svc.scenario.domain import Answer, Asked, Asker, approver_of, authorizes, ends_at, lapse_of, reason_of

TODAY = date(2026, 11, 23)
RESOURCE, OTHER = UUID(int=10), UUID(int=11)
HEALTH = Asker(UUID(int=2), OrganizationKind.DEPARTMENT, Level.CITY)
CIVIL = OrganizationRef(organization_id=UUID(int=1), uscc="11330600002577014T", name="示例市民政局", division_code="3306")
AT = datetime(2026, 11, 1, tzinfo=UTC)
AUTHORITY = ScenarioApproval(role="authority", approved_by="数据局局长", approved_at=AT)
PROVIDER = ScenarioApproval(role="provider", organization_id=CIVIL.organization_id, approved_by="民政局首席数据官", approved_at=AT)
ITEMS = (
    DataItem(code="code", name="代码", data_type=DataType.TEXT),
    DataItem(code="name", name="名称", data_type=DataType.TEXT),
)


def scenario(*approvals: ScenarioApproval, status: str = "in_progress", **terms: Any) -> ListEntryEvent:
    said = {
        "purposes": (UsePurpose.ADMINISTRATIVE_BASIS,),
        "requesters": ScenarioRequesters(kinds=(OrganizationKind.DEPARTMENT,), levels=(Level.CITY,)),
        "data": (ScenarioData(resource_id=RESOURCE),),
        "valid_from": date(2026, 1, 1),
        "valid_until": date(2026, 12, 31),
    }
    return ListEntryChanged(
        entry_id=UUID(int=9),
        kind="scenario",
        revision=4,
        owner=CIVIL,
        name="老年人优待证",
        status=status,
        scenario=ScenarioTerms.model_validate(said | terms),
        approvals=approvals or (AUTHORITY, PROVIDER),
        changed_at=AT,
        changed_by="数据局局长",
    )


def resource(**changes: Any) -> ResourceSnapshot:
    fields: dict[str, Any] = {
        "resource_id": RESOURCE,
        "version": 1,
        "resource_code": "330600-1",
        "name": "街道",
        "summary": "",
        "class_path": "3/30/102",
        "provider": CIVIL,
        "system_id": UUID(int=3),
        "items": ITEMS,
        "sharing_type": SharingType.CONDITIONAL,
        "open_type": OpenType.CLOSED,
        "update_cycle": UpdateCycle.DAILY,
        "schema_url": "https://mesh.example/schema.json",
        "published_at": AT,
    }
    return ResourceSnapshot(**fields | changes)


def said(
    entry: ListEntryEvent | None = None, *, of: ResourceSnapshot | None = None, by: Asker = HEALTH, today: date = TODAY, **asked: Any
) -> Answer:
    what = of or resource()
    fields: dict[str, Any] = {"items": what.items, "use_purpose": UsePurpose.ADMINISTRATIVE_BASIS, "terms": Terms()}
    return authorizes(entry or scenario(), Asked(**fields | asked), what, by, today)


def test_a_request_that_meets_every_condition_is_granted_by_the_named_approvers() -> None:
    found = said()
    assert (found.grants, found.misfits, found.approvals) == (True, (), (AUTHORITY, PROVIDER))
    reason = reason_of(scenario(), found.approvals, CIVIL.name)
    for part in (
        "老年人优待证",
        "revision 4",
        "数据局局长 for the data authority on 2026-11-01",
        "民政局首席数据官 for 示例市民政局",
        "2026-12-31",
    ):
        assert part in reason
    assert approver_of(found.approvals) == "民政局首席数据官"


def test_what_is_shared_without_condition_needs_the_authority_alone() -> None:
    found = said(scenario(AUTHORITY), of=resource(sharing_type=SharingType.UNCONDITIONAL))
    assert (found.grants, approver_of(found.approvals)) == (True, "数据局局长")
    one_item = (ITEMS[0].model_copy(update={"sharing_type": SharingType.CONDITIONAL}), ITEMS[1])
    of = resource(sharing_type=SharingType.UNCONDITIONAL, items=one_item)
    assert not said(scenario(AUTHORITY), of=of).grants
    assert said(scenario(AUTHORITY), of=of, items=of.items[1:]).grants


LEVEL_3 = (ITEMS[0], ITEMS[1].model_copy(update={"data_level": 3}))
WITHHELD = (ITEMS[0], ITEMS[1].model_copy(update={"sharing_type": SharingType.NOT_SHARED}))
ANOTHERS = PROVIDER.model_copy(update={"organization_id": UUID(int=7)})


@pytest.mark.parametrize(
    ("entry", "changes", "because"),
    [
        (scenario(PROVIDER), {}, "the data authority has not approved"),
        (scenario(AUTHORITY), {}, "示例市民政局, whose it is, has not approved"),
        (scenario(AUTHORITY, ANOTHERS), {}, "has not approved"),
        (scenario(status="done"), {}, "came to its end"),
        (scenario(status="cancelled"), {}, "came to its end"),
        (scenario(), {"today": date(2025, 12, 31)}, "from 2026-01-01 to 2026-12-31, not on 2025-12-31"),
        (scenario(), {"today": date(2027, 1, 1)}, "not on 2027-01-01"),
        (scenario(), {"use_purpose": None}, "names no use_purpose"),
        (scenario(), {"use_purpose": UsePurpose.WORK_REFERENCE}, "the request is for WORK_REFERENCE"),
        (scenario(requesters=ScenarioRequesters(organization_ids=(UUID(int=8),))), {}, "none of those"),
        (scenario(requesters=ScenarioRequesters()), {}, "none of those"),
        (scenario(requesters=ScenarioRequesters(kinds=(OrganizationKind.PUBLIC_UTILITY,))), {}, "none of those"),
        (scenario(requesters=ScenarioRequesters(levels=(Level.COUNTY,))), {}, "none of those"),
        (scenario(requesters=ScenarioRequesters(kinds=(OrganizationKind.DEPARTMENT,), levels=(Level.COUNTY,))), {}, "none of those"),
        (scenario(), {"by": Asker(HEALTH.organization_id, None, Level.CITY)}, "none of those"),
        (scenario(), {"by": Asker(HEALTH.organization_id, OrganizationKind.DEPARTMENT, None)}, "none of those"),
        (scenario(data=(ScenarioData(resource_id=OTHER),)), {}, "does not cover code, name of 街道"),
        (scenario(data=(ScenarioData(resource_id=RESOURCE, items=("code",)),)), {}, "does not cover name of 街道"),
        (scenario(data=(ScenarioData(class_prefix="3/30/10"),)), {}, "does not cover"),
        (scenario(data=(ScenarioData(),)), {}, "does not cover"),
        (scenario(), {"of": resource(is_core=True)}, "core data"),
        (scenario(), {"of": resource(is_important=True)}, "important data"),
        (scenario(), {"of": resource(sharing_type=SharingType.NOT_SHARED)}, "街道 is not shared"),
        (scenario(), {"of": resource(items=WITHHELD)}, "name is not shared"),
        (scenario(), {"of": resource(items=LEVEL_3)}, "name is of level 3"),
        (scenario(terms=Narrowing(modes=(Mode.VERIFY,))), {}, "none of verify was asked for"),
        (scenario(terms=Narrowing(where=(Prefix(item="area", op="prefix", values=("33",)),))), {}, "area is not among the items"),
    ],
)
def test_each_condition_that_is_not_met_is_the_one_reason_why_not(entry: ListEntryEvent, changes: dict[str, Any], because: str) -> None:
    found = said(entry, **changes)
    assert (found.grants, len(found.misfits)) == (False, 1), found.misfits
    assert because in found.misfits[0]


def test_a_scenario_without_terms_grants_nothing_and_says_so() -> None:
    bare = scenario().model_copy(update={"scenario": None})
    assert said(bare).misfits == ("老年人优待证 says no terms; its owner writes them and has them approved",)


@pytest.mark.parametrize(
    "requesters",
    [
        ScenarioRequesters(organization_ids=(HEALTH.organization_id,), kinds=(OrganizationKind.SOCIAL_BODY,)),
        ScenarioRequesters(kinds=(OrganizationKind.DEPARTMENT,)),
        ScenarioRequesters(levels=(Level.COUNTY, Level.CITY)),
    ],
)
def test_a_requester_is_named_or_of_a_kind_and_level_that_are(requesters: ScenarioRequesters) -> None:
    assert said(scenario(requesters=requesters)).grants
    nobody = Asker(UUID(int=5), None, None)
    assert not said(scenario(requesters=requesters), by=nobody).grants


@pytest.mark.parametrize("prefix", ["3", "3/30", "3/30/102"])
def test_a_class_covers_every_resource_below_it(prefix: str) -> None:
    assert said(scenario(data=(ScenarioData(class_prefix=prefix),))).grants


def test_items_may_be_covered_by_several_parts() -> None:
    parts = (ScenarioData(resource_id=RESOURCE, items=("name",)), ScenarioData(resource_id=RESOURCE, items=("code",)))
    assert said(scenario(data=parts)).grants


def test_the_scenarios_terms_hold_beside_those_asked_for() -> None:
    mask = Drop(item="name", mask="drop")
    where = Prefix(item="code", op="prefix", values=("33",))
    narrow = Narrowing(where=(where,), masks=(mask, Drop(item="elsewhere", mask="drop")), modes=(Mode.PULL, Mode.TOPIC))
    found = said(scenario(terms=narrow), of=resource(items=LEVEL_3), terms=Terms(modes=(Mode.PULL,)))
    assert (found.misfits, found.terms) == ((), Terms(where=(where,), masks=(mask,), modes=(Mode.PULL,)))
    own = said(of=resource(items=LEVEL_3), terms=Terms(masks=(mask,)))
    assert (own.grants, own.terms.masks) == (True, (mask,)), "without terms of the scenario those of the request hold"


def test_a_grant_ends_with_the_scenarios_last_day_at_the_latest() -> None:
    end = datetime.fromisoformat("2027-01-01T00:00:00+08:00")
    early = datetime(2026, 12, 1, tzinfo=UTC)
    assert [ends_at(scenario(), asked) for asked in (None, early, datetime(2028, 1, 1, tzinfo=UTC))] == [end, early, end]


@pytest.mark.parametrize(
    ("entry", "because"),
    [
        (scenario(), None),
        (scenario(AUTHORITY, PROVIDER, ANOTHERS), None),
        (scenario(status="done"), "came to its end (done)"),
        (scenario(PROVIDER), "数据局局长 (authority)"),
        (scenario(AUTHORITY), "民政局首席数据官 (provider)"),
        (
            scenario(AUTHORITY, PROVIDER.model_copy(update={"approved_at": datetime(2026, 11, 9, tzinfo=UTC)})),
            "民政局首席数据官 (provider)",
        ),
    ],
)
def test_a_grant_loses_its_ground_when_the_scenario_ends_or_an_approval_is_gone(entry: ListEntryEvent, because: str | None) -> None:
    found = lapse_of(entry, (AUTHORITY, PROVIDER))
    assert (found is None) == (because is None)
    assert because is None or because in str(found)
