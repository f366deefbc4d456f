"""What each report says beside its rows, and how its columns are called where people read them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from dxmesh_clocks import working_days

Rows = Sequence[Mapping[str, Any]]


class ReportName(StrEnum):
    """A report."""

    COVERAGE = "coverage"
    ORPHANS = "orphans"
    NON_SHARING = "non-sharing"
    NEGATIVE_LIST = "negative-list"
    DUTIES = "duties"
    DUTY_TOTALS = "duty-totals"
    IDLE_SYSTEMS = "idle-systems"
    OFF_CLOUD = "off-cloud"
    LAPSED_PAPERS = "lapsed-papers"
    DUPLICATES = "duplicates"
    TOTALS = "totals"
    TAXONOMIES = "taxonomies"
    LINEAGE = "lineage"


_ORGANIZATION = {"organization_name": "部门", "uscc": "统一社会信用代码", "level": "层级"}
_BASIS = {"basis_kind": "依据类型", "basis_title": "依据名称", "basis_article": "依据条款"}
_DUTY_COUNTS = {
    "duty_count": "责任条目数",
    "published_count": "已发布",
    "mounted_count": "已挂接",
    "supplied_count": "已归集",
    "late_count": "逾期后归集",
    "overdue_count": "逾期未归集",
}
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
    ReportName.DUTIES: "责任清单归集情况",
    ReportName.DUTY_TOTALS: "分部门应归尽归情况",
    ReportName.IDLE_SYSTEMS: "无数据流动的信息系统",
    ReportName.OFF_CLOUD: "未上政务云的信息系统",
    ReportName.LAPSED_PAPERS: "许可或合同缺失、到期的提供方",
    ReportName.DUPLICATES: "同名资源",
    ReportName.TOTALS: "分层级分部门总数",
    ReportName.TAXONOMIES: "基础库、领域数据仓库、主题库编目情况",
    ReportName.LINEAGE: "未溯源到基础库的衍生资源",
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
    ReportName.DUTIES: {
        "entry_name": "清单条目",
        **_ORGANIZATION,
        "status": "状态",
        "due_on": "完成期限",
        "resource_code": "信息资源代码",
        "name": "信息资源名称",
        "published_at": "发布时间",
        "mount_kind": "挂接方式",
        "flow": "归集情况",
        "first_accepted_at": "首批接收时间",
        "accepted_at": "最近接收时间",
        "batch_count": "接收批次数",
        "row_count": "最近批次行数",
        "is_overdue": "逾期未归集",
        "is_late": "逾期后归集",
    },
    ReportName.DUTY_TOTALS: {**_ORGANIZATION, **_DUTY_COUNTS, "supplied_ratio": "归集率"},
    ReportName.IDLE_SYSTEMS: {
        "system_name": "信息系统名称",
        **_ORGANIZATION,
        "state": "系统状态",
        "flow": "流动情况",
        "resource_count": "信息资源数",
        "last_flow_at": "最近流动时间",
        "idle_days": "无流动天数",
        "registered_at": "登记时间",
    },
    ReportName.OFF_CLOUD: {
        "system_name": "信息系统名称",
        **_ORGANIZATION,
        "state": "系统状态",
        "cloud": "上云情况",
        "reason": "启用说明",
        "registered_at": "登记时间",
    },
    ReportName.LAPSED_PAPERS: {
        **_ORGANIZATION,
        "kind": "类别",
        "paper": "依据文件",
        "title": "文件名称",
        "number": "文件编号",
        "valid_until": "有效期至",
        "standing": "情况",
        "lapsed_days": "到期天数",
        "resource_count": "有效信息资源数",
    },
    ReportName.DUPLICATES: {"name": "信息资源名称", "provider_count": "提供方数", "resource_code": "信息资源代码", **_ORGANIZATION},
    ReportName.TOTALS: {"level": "层级", "name": "部门", "uscc": "统一社会信用代码", **_COUNTS},
    ReportName.TAXONOMIES: {
        "taxonomy_kind": "类别",
        "code": "代码",
        "name": "名称",
        "parent_code": "上级代码",
        "lead_name": "牵头部门",
        "provider_count": "提供方数",
        "resource_count": "信息资源数",
        "item_count": "信息项数",
        "shareable_item_count": "可共享信息项数",
        "mounted_count": "已挂接资源数",
        "supplied_count": "已供数资源数",
        "is_retired": "已停用",
    },
    ReportName.LINEAGE: {
        "resource_code": "信息资源代码",
        "name": "信息资源名称",
        **_ORGANIZATION,
        "theme_names": "所属主题库",
        "source_count": "已登记来源数",
        "reason": "原因",
    },
}
"""The columns of each report's file, with their titles."""


_LEVELS = {"nation": "国家", "province": "省", "city": "市", "county": "县"}
_SHOWN = {
    "level": _LEVELS,
    "taxonomy_kind": {"base": "基础库", "domain": "领域数据仓库", "theme": "主题库"},
    "basis_kind": {"law": "法律", "administrative_regulation": "行政法规", "state_council_decision": "国务院决定"},
    "status": {"pending": "未开始", "in_progress": "进行中", "done": "已完成"},
    "state": {"planned": "规划建设", "in_service": "在用"},
    "mount_kind": {"replica": "物理汇聚", "proxy": "逻辑接入"},
    "flow": {
        "unpublished": "未发布",
        "unmounted": "未挂接",
        "declared": "已挂接未归集",
        "supplied": "已归集",
        "never": "从未流动",
        "ceased": "已停止流动",
    },
    "kind": {"public_utility": "公用事业单位", "social_body": "社会机构"},
    "cloud": {"off": "未上云", "unsaid": "未填报"},
    "paper": {"licence": "许可", "contract": "合同"},
    "standing": {"missing": "缺失", "lapsed": "已到期"},
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


def duties(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many duties there are and how far they came (应归尽归), each with whether it is overdue or came late.

    A duty counts as kept once data demonstrably come: published and mounted alone is not gathered.
    """
    lines = []
    for row in rows:
        came = row["flow"] == "supplied"
        first, due_on = row["first_accepted_at"], row["due_on"]
        late = came and first is not None and due_on is not None and working_days.day_of(first) > due_on
        line = {name: value for name, value in row.items() if name != "is_past_due"}
        lines.append(line | {"is_overdue": bool(row["is_past_due"]) and not came, "is_late": late})
    return _duty_counts(lines), lines


def duty_totals(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return what `duties` counts over all, and a row a department."""
    summary, lines = duties(rows)
    departments: dict[Any, list[Mapping[str, Any]]] = {}
    for line in lines:
        departments.setdefault(line["organization_id"], []).append(line)
    head = ("organization_id", *_ORGANIZATION)
    return summary, [{name: of[0][name] for name in head} | _duty_counts(of) for of in departments.values()]


def _duty_counts(lines: Rows) -> dict[str, Any]:
    flows = Counter(line["flow"] for line in lines)
    counts = {
        "duty_count": len(lines),
        "published_count": len(lines) - flows["unpublished"],
        "mounted_count": flows["declared"] + flows["supplied"],
        "supplied_count": flows["supplied"],
        "late_count": sum(line["is_late"] for line in lines),
        "overdue_count": sum(line["is_overdue"] for line in lines),
    }
    return counts | {"supplied_ratio": round(flows["supplied"] / len(lines), 4) if lines else None}


def idle_systems(rows: Rows, *, days: int) -> tuple[dict[str, Any], Rows]:
    """Return how many systems stood still for so many days, those of which nothing ever came or went counted apart."""
    flows = Counter(row["flow"] for row in rows)
    return {"days": days, "ceased_count": flows["ceased"], "never_count": flows["never"]}, rows


def off_cloud(systems: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many of the organizations' own systems are on the government cloud, and those that are not or do not say."""
    places = Counter(row["cloud"] for row in systems)
    counts = {"system_count": len(systems), "off_count": places["off"], "unsaid_count": places["unsaid"]}
    return counts | {"on_ratio": round(places["on"] / len(systems), 4) if systems else None}, [
        row for row in systems if row["cloud"] != "on"
    ]


def lapsed_papers(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many providers' papers are missing, how many lapsed, and how many resources in force come from them."""
    standings = Counter(row["standing"] for row in rows)
    resources = sum(row["resource_count"] for row in rows)
    return {"missing_count": standings["missing"], "lapsed_count": standings["lapsed"], "resource_count": resources}, rows


def duplicates(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many names several providers have."""
    return {"name_count": len({row["name_key"] for row in rows}), "resource_count": len(rows)}, rows


def totals(lines: Rows) -> tuple[dict[str, Any], Rows]:
    """Return the sums over all, and a row a department."""
    whole = next(line for line in lines if line["level"] is None)
    departments = [line for line in lines if line["organization_id"] is not None]
    return {name: whole[name] for name in ("organization_count", *_COUNTS)}, departments


def taxonomies(rows: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many base databases, domain warehouses and theme databases hold something and have a lead, and a row for each.

    A retired one has a row while it has members, and is not counted.
    """
    used = [row for row in rows if not row["is_retired"]]
    base = [row for row in used if row["taxonomy_kind"] == "base"]
    covered = sum(row["resource_count"] > 0 for row in base)
    summary = {
        "taxonomy_count": len(used),
        "filled_count": sum(row["resource_count"] > 0 for row in used),
        "without_lead_count": sum(row["lead_organization_id"] is None for row in used),
        "base_count": len(base),
        "filled_base_count": covered,
        "filled_base_ratio": covered / len(base) if base else None,
    }
    return summary, rows


def lineage(derived: Rows) -> tuple[dict[str, Any], Rows]:
    """Return how many derived resources lead to a base database, and those that do not, each with the reason."""
    astray = [{name: value for name, value in row.items() if name != "has_base"} for row in derived if not row["has_base"]]
    rows = [row | {"reason": "no source leads to a base database" if row["source_count"] else "no source is said"} for row in astray]
    found = len(derived) - len(rows)
    return {"derived_count": len(derived), "with_base_count": found, "with_base_ratio": found / len(derived) if derived else None}, rows
