"""What the pages call things, in Chinese and English, and the colour of each state."""

from typing import Any

STATES = {
    "draft": ("草稿 Draft", "busy"),
    "submitted": ("待部门审核 Submitted", "warn"),
    "approved": ("待主管部门审核 Approved", "warn"),
    "announced": ("公告期 Announced", "busy"),
    "published": ("已发布 Published", "good"),
    "withdrawn": ("已撤回 Withdrawn", "idle"),
}
WAITS_FOR = {
    "draft": "数据管理员 Steward",
    "submitted": "首席数据官 CDO",
    "approved": "数据主管部门 Authority",
    "announced": "公告期满 End of notice",
}
STEPS = {
    "drafted": ("起草 Drafted", "busy"),
    "submitted": ("提交 Submitted", "busy"),
    "approved": ("部门审核通过 Approved", "good"),
    "returned": ("退回 Returned", "bad"),
    "announced": ("公告 Announced", "busy"),
    "published": ("发布 Published", "good"),
    "withdrawn": ("撤回 Withdrawn", "idle"),
}
ROLES = {"steward": "数据管理员 Steward", "cdo": "首席数据官 CDO", "authority": "数据主管部门 Authority", "catalogue": "系统 Catalogue"}
SHARING = {
    "UNCONDITIONAL": ("无条件 Unconditional", "good"),
    "CONDITIONAL": ("有条件 Conditional", "warn"),
    "NOT_SHARED": ("不予共享 Not shared", "idle"),
}
OPENING = {
    "UNCONDITIONAL": ("无条件 Unconditional", "good"),
    "CONDITIONAL": ("有条件 Conditional", "warn"),
    "CLOSED": ("不予开放 Closed", "idle"),
}
CYCLES = {
    "REALTIME": "实时 Real time",
    "DAILY": "每日 Daily",
    "WEEKLY": "每周 Weekly",
    "MONTHLY": "每月 Monthly",
    "QUARTERLY": "每季度 Quarterly",
    "HALF_YEARLY": "每半年 Half-yearly",
    "YEARLY": "每年 Yearly",
    "IRREGULAR": "不定期 Irregular",
    "STATIC": "静态 Static",
}
LEVELS = {"nation": "国家 Nation", "province": "省级 Province", "city": "市级 City", "county": "县级 County"}
ORGANIZATION_KINDS = {"department": "部门 Department", "public_utility": "公用企事业 Public utility", "social_body": "社会组织 Social body"}
SYSTEM_KINDS = {"own": "自建 Own", "nation": "国垂 Nation", "province": "省垂 Province", "city": "市垂 City"}
SYSTEM_STATES = {"planned": ("规划 Planned", "busy"), "in_service": ("在用 In service", "good"), "retired": ("停用 Retired", "idle")}
TYPES = {
    "C": "字符 Text",
    "N": "数值 Number",
    "Y": "货币 Money",
    "D": "日期 Date",
    "T": "日期时间 Time",
    "L": "逻辑 Yes/no",
    "M": "备注 Long text",
    "G": "通用 Generic",
    "B": "双精度 Double",
    "I": "整型 Integer",
    "F": "浮点 Float",
}
EFFECTS = {
    "added": ("新增 Added", "good"),
    "removed": ("删除 Removed", "bad"),
    "retyped": ("改类型 Retyped", "bad"),
    "narrowed": ("收窄 Narrowed", "bad"),
    "widened": ("放宽 Widened", "good"),
    "changed": ("变更 Changed", "busy"),
}
CODE_SET_KINDS = {
    "division": "行政区划 Divisions",
    "industry": "行业 Industries",
    "national": "国家标准 National",
    "international": "国际标准 International",
    "own": "自用 Own",
}
STANDINGS = {
    "valid": ("有效 Valid", "good"),
    "not_yet": ("未启用 Not yet", "busy"),
    "retired": ("已停用 Retired", "idle"),
    "uncertain": ("不确定 Uncertain", "warn"),
    "unlisted": ("主来源未收录 Unlisted", "warn"),
}


def vocabulary() -> dict[str, Any]:
    """Return all of them, by the names templates use."""
    return {name.lower(): value for name, value in globals().items() if name.isupper()}
