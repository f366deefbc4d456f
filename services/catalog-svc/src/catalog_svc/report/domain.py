"""What each report says beside its rows, and how its columns are called where people read them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

Rows = Sequence[Mapping[str, Any]]


class ReportName(StrEnum):
    """A report."""

    COVERAGE = "coverage"
    ORPHANS = "orphans"
    NON_SHARING = "non-sharing"
    NEGATIVE_LIST = "negative-list"
    DUPLICATES = "duplicates"
    TOTALS = "totals"


_ORGANIZATION = {"organization_name": "部门", "uscc": "统一社会信用代码", "level": "层级"}
_BASIS = {"basis_kind": "依据类型", "basis_title": "依据名称", "basis_article": "依据条款"}
_COUNTS = {
    "system_count": "信息系统数",
    "resource_count": "信息资源数",
    "shareable_resource_count": "可共享资源数",
    "item_count": "信息项数",
    "shareable_item_count": "可共享信息项数",
}
TITLES = {
    ReportName.COVERAGE: "编目覆盖情况(未编目系统)",
    ReportName.ORPHANS: "悬空条目",
    ReportName.NON_SHARING: "不予共享资源及依据",
    ReportName.NEGATIVE_LIST: "负面清单执行情况",
    ReportName.DUPLICATES: "同名资源",
    ReportName.TOTALS: "分层级分部门总数",
}
COLUMNS: dict[ReportName, dict[str, str]] = {
    ReportName.COVERAGE: {"system_name": "信息系统名称", **_ORGANIZATION, "registered_at": "登记时间"},
    ReportName.ORPHANS: {"kind": "类别", "name": "名称", "organization_name": "部门", "reason": "原因", "id": "编号"},
    ReportName.NON_SHARING: {
        "resource_code": "信息资源代码",
        "name": "信息资源名称",
        **_ORGANIZATION,
        **_BASIS,
        "item_count": "信息项数",
        "not_shared_item_count": "不予共享信息项数",
        "is_on_negative_list": "已列入负面清单",
    },
    ReportName.NEGATIVE_LIST: {
        "entry_name": "清单条目",
        **_ORGANIZATION,
        "forbids": "禁止事项",
        **_BASIS,
        "due_on": "复核期限",
        "resource_code": "信息资源代码",
        "name": "信息资源名称",
        "sharing_type": "共享类型",
        "open_type": "开放类型",
        "is_breached": "与清单不符",
    },
    ReportName.DUPLICATES: {"name": "信息资源名称", "provider_count": "提供方数", "resource_code": "信息资源代码", **_ORGANIZATION},
    ReportName.TOTALS: {"level": "层级", "name": "部门", "uscc": "统一社会信用代码", **_COUNTS},
}
"""The columns of each report's file, with their titles."""


_LEVELS = {"nation": "国家", "province": "省", "city": "市", "county": "县"}
_SHOWN = {
    "level": _LEVELS,
    "basis_kind": {"law": "法律", "administrative_regulation": "行政法规", "state_council_decision": "国务院决定"},
    "forbids": {"sharing": "不予共享", "opening": "不予开放"},
    "sharing_type": {"UNCONDITIONAL": "无条件共享", "CONDITIONAL": "有条件共享", "NOT_SHARED": "不予共享"},
    "open_type": {"UNCONDITIONAL": "无条件开放", "CONDITIONAL": "有条件开放", "CLOSED": "不予开放"},
}


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as its file shows it."""
    return {name: _SHOWN[name].get(value, value) if name in _SHOWN else value for name, value in row.items()}


def coverage(systems: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many systems have a resource in force, and those that have none (应编尽编)."""
    gaps = [{name: value for name, value in row.items() if name != "is_covered"} for row in systems if not row["is_covered"]]
    covered = len(systems) - len(gaps)
    ratio = covered / len(systems) if systems else None
    return {"system_count": len(systems), "covered_count": covered, "covered_ratio": ratio}, gaps


def orphans(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many hang on nothing, which must be none."""
    return {"orphan_count": len(rows)}, rows


def non_sharing(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many are not shared, and how many of them lack a basis or stand on no negative list."""
    lacking = sum(not (row["basis_kind"] and row["basis_title"] and row["basis_article"]) for row in rows)
    unlisted = sum(not row["is_on_negative_list"] for row in rows)
    return {"resource_count": len(rows), "without_basis_count": lacking, "not_on_negative_list_count": unlisted}, rows


def negative_list(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many entries there are, how many bind nothing that is in force, and how many resources break them."""
    entries = {row["entry_id"] for row in rows}
    bound = {row["entry_id"] for row in rows if row["resource_id"] is not None}
    breached = {row["resource_id"] for row in rows if row["is_breached"]}
    counts = {"entry_count": len(entries), "unbound_entry_count": len(entries - bound), "breaching_resource_count": len(breached)}
    return counts, rows


def duplicates(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many names several providers have."""
    return {"name_count": len({row["name_key"] for row in rows}), "resource_count": len(rows)}, rows


def totals(lines: Rows) -> tuple[dict[str, Any], Rows]:
    """Return the sums over all, and a row a department."""
    whole = next(line for line in lines if line["level"] is None)
    departments = [line for line in lines if line["organization_id"] is not None]
    return {name: whole[name] for name in ("organization_count", *_COUNTS)}, departments
