import json
from typing import Any

import pytest

from dxmesh_clocks.errors import PolicyRefused
from dxmesh_clocks.policy import RuleName, local, regulation


def policy_of(**rules: Any) -> str:
    return json.dumps({"jurisdiction": "330600", "title": "绍兴市政务数据共享办法", "rules": rules})


def faults_of(text: bytes | str) -> dict[str, str]:
    with pytest.raises(PolicyRefused) as refused:
        local(text)
    return dict(refused.value.faults)


def test_the_regulation_has_every_rule_with_its_article() -> None:
    values = {name: (rule.days, rule.extension_days, rule.source) for name, rule in regulation().rules.items()}
    assert values == {
        "catalogue_update": (10, 5, "政务数据共享条例第十七条"),
        "catalogue_review": (2, 0, "政务数据共享条例第十七条"),
        "request_unconditional": (1, 10, "政务数据共享条例第二十一条"),
        "request_conditional": (10, 10, "政务数据共享条例第二十一条"),
        "delivery": (20, 0, "政务数据共享条例第二十二条"),
        "correction": (10, 0, "政务数据共享条例第二十六条"),
        "disposal": (20, 0, "政务数据共享条例第二十七条(未定期限,比照第二十二条)"),
        "remedy": (10, 0, "政务数据共享条例第二十七条(未定期限,比照第二十六条)"),
        "dispute_negotiation": (10, 0, "政务数据共享条例第二十八条(未定期限,比照第二十一条)"),
        "dispute_decision": (10, 0, "政务数据共享条例第二十八条(未定期限,比照第二十一条)"),
        "dispute_objection": (10, 0, "政务数据共享条例第二十八条(未定期限,比照第二十一条)"),
        "arbitration": (10, 0, "政务数据共享条例第二十八条(未定期限,比照第二十六条)"),
        "arbitration_objection": (10, 0, "政务数据共享条例第二十八条(未定期限,比照第二十六条)"),
    }
    assert set(values) == set(RuleName)
    assert all(rule.approaching_days < rule.days for rule in regulation().rules.values())


def test_a_local_policy_may_be_shorter_and_keeps_the_rest() -> None:
    found = local(policy_of(request_conditional={"days": 2, "extension_days": 0, "pausable": False, "source": "办法第六条"}))
    shorter = found.rule(RuleName.REQUEST_CONDITIONAL)
    assert (shorter.days, shorter.extension_days, shorter.pausable, shorter.source) == (2, 0, False, "办法第六条")
    assert shorter.approaching_days == 1, "near its end is shorter than the whole"
    assert found.rule(RuleName.DELIVERY) == regulation().rule(RuleName.DELIVERY)
    assert found.in_force_on == regulation().in_force_on


@pytest.mark.parametrize("name", list(RuleName))
def test_a_longer_local_rule_is_refused_and_named(name: RuleName) -> None:
    bound = regulation().rule(name)
    local(policy_of(**{name: {"days": bound.days, "extension_days": bound.extension_days, "source": "x"}}))
    lengths = ("days", "extension_days", "escalation_days")
    faults = faults_of(policy_of(**{name: {"source": "x"} | {field: getattr(bound, field) + 1 for field in lengths}}))
    assert set(faults) == {f"/rules/{name}/{field}" for field in lengths}
    assert f"longer than the {bound.days} of {bound.source}" in faults[f"/rules/{name}/days"]


def test_every_longer_rule_is_named_at_once() -> None:
    faults = faults_of(policy_of(delivery={"days": 21, "source": "x"}, correction={"days": 11, "source": "x", "pausable": True}))
    assert set(faults) == {"/rules/delivery/days", "/rules/correction/days", "/rules/correction/pausable"}


@pytest.mark.parametrize(
    ("rules", "pointer"),
    [
        ({"catalog_update": {"days": 5, "source": "x"}}, "/rules/catalog_update"),
        ({"delivery": {"days": 5}}, "/rules/delivery/source"),
        ({"delivery": {"days": 0, "source": "x"}}, "/rules/delivery/days"),
        ({"delivery": {"days": -3, "source": "x"}}, "/rules/delivery/days"),
        ({"delivery": {"days": True, "source": "x"}}, "/rules/delivery/days"),
        ({"delivery": {"days": "5", "source": "x"}}, "/rules/delivery/days"),
        ({"delivery": {"days": 4.5, "source": "x"}}, "/rules/delivery/days"),
        ({"delivery": {"day": 5, "source": "x"}}, "/rules/delivery/day"),
        ({"delivery": {"days": 5, "approaching_days": 5, "source": "x"}}, "/rules/delivery/approaching_days"),
        ({"delivery": {"days": 5, "source": "  "}}, "/rules/delivery/source"),
        ({"delivery": None}, "/rules/delivery"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_and_named(rules: Any, pointer: str) -> None:
    assert pointer in faults_of(policy_of(**rules))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", "[]", "null", "[" * 100_000])
def test_what_is_no_policy_is_refused(text: bytes | str) -> None:
    assert faults_of(text)


def test_a_rule_that_stands_twice_is_refused() -> None:
    rule = '{"days": 5, "source": "x"}'
    text = f'{{"jurisdiction": "x", "title": "x", "rules": {{"delivery": {rule}, "delivery": {rule}}}}}'
    assert faults_of(text) == {"/delivery": "stands twice; write it once"}


def test_a_policy_older_than_the_regulation_is_refused() -> None:
    text = json.dumps({"jurisdiction": "x", "title": "x", "in_force_on": "2016-09-05", "rules": {}})
    assert "2025-08-01" in faults_of(text)["/in_force_on"]
