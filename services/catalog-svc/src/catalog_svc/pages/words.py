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
ROLES = {
    "steward": "数据管理员 Steward",
    "cdo": "首席数据官 CDO",
    "authority": "数据主管部门 Authority",
    "operator": "运行人员 Operator",
    "catalogue": "系统 Catalogue",
}
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
OFFICER_ROLES = {"cdo": "首席数据官 CDO", "steward": "数据管理员 Steward", "sharing_unit": "共享工作机构 Sharing unit"}
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
CLAIM_STATES = {"held": ("在用 Held", "good"), "released": ("已放弃 Released", "idle")}
CASE_STATES = {
    "open": ("待裁决 Open", "warn"),
    "decided": ("已裁决 Decided", "busy"),
    "referred": ("已提请政府 Referred", "warn"),
    "settled": ("已终局 Settled", "good"),
    "withdrawn": ("已撤回 Withdrawn", "idle"),
    "lapsed": ("已失效 Lapsed", "idle"),
}
CASE_OUTCOMES = {
    "claimant": "申请方为数源 The claimant is the source",
    "holder": "现数源维持 The holder stays the source",
    "distinct": "并非同一数据 Two different data elements",
}
CASE_STEPS = {
    "opened": ("提出 Opened", "busy"),
    "decided": ("裁决 Decided", "good"),
    "objected": ("异议 Objected", "warn"),
    "settled": ("终局 Settled", "good"),
    "withdrawn": ("撤回 Withdrawn", "idle"),
    "lapsed": ("失效 Lapsed", "idle"),
}
FORM_OUTCOMES = {
    "held": ("无需采集 Held: ask for it", "good"),
    "withheld": ("已有但不共享 Withheld", "warn"),
    "doubtful": ("待人工核对 Doubtful", "warn"),
    "new": ("需新采集 New", "idle"),
}
DUTY_STATES = {
    "running": ("进行中 Running", "busy"),
    "extended": ("已延期 Extended", "busy"),
    "paused": ("已暂停 Paused", "idle"),
    "approaching": ("临近到期 Approaching", "warn"),
    "missed": ("已逾期 Missed", "bad"),
    "met": ("按时完成 Met", "good"),
    "cancelled": ("已取消 Cancelled", "idle"),
}
DUTY_STANDINGS = {
    "open": "未完成 Open",
    "approaching": "临近到期 Approaching",
    "missed": "已逾期 Missed",
    "met": "按时完成 Met",
    "cancelled": "已取消 Cancelled",
}
RULES = {
    "catalogue_update": "目录更新 Catalogue update",
    "catalogue_review": "目录复核 Catalogue review",
    "arbitration": "数源裁决 Arbitration",
    "arbitration_objection": "裁决异议 Objection",
}
DUTY_STEPS = {
    "registered": ("登记 Registered", "busy"),
    "extension_asked": ("申请延期 Extension asked", "warn"),
    "extension_granted": ("同意延期 Extension granted", "good"),
    "extension_refused": ("不同意延期 Extension refused", "bad"),
    "recounted": ("重新计算 Recounted", "idle"),
    "answered": ("完成 Answered", "good"),
    "cancelled": ("取消 Cancelled", "idle"),
}
FORMAT_CLASSES = {
    "ELECTRONIC_FILE": "电子文件 Document",
    "SPREADSHEET": "电子表格 Spreadsheet",
    "DATABASE": "数据库 Database",
    "GRAPHIC": "图形图像 Graphic",
    "STREAM": "流媒体 Stream",
    "SELF_DESCRIBING": "自描述格式 Self-describing",
    "SERVICE": "服务接口 Service",
}
CHANNELS = {"PLATFORM": "共享平台 Platform", "MAIL": "邮件 Mail", "DISK": "拷盘 Disk", "MEDIA": "介质交换 Media"}
MODES = {"DATABASE": "数据库 Database", "FILE": "文件 File", "API": "接口 API"}
PURPOSES = {
    "ADMINISTRATIVE_BASIS": "行政依据 Administrative basis",
    "WORK_REFERENCE": "工作参考 Work reference",
    "DATA_CHECKING": "数据校核 Data checking",
    "COLLABORATION": "业务协同 Collaboration",
}
SENSITIVITIES = {
    "NONE": "无 None",
    "PERSONAL": "个人信息 Personal",
    "SENSITIVE_PERSONAL": "敏感个人信息 Sensitive personal",
    "TRADE_SECRET": "商业秘密 Trade secret",
}
ITEM_FORMATS = {"resident_id": "公民身份号码 Resident id", "uscc": "统一社会信用代码 Credit code", "division": "行政区划代码 Division code"}
BASIS_KINDS = {
    "law": "法律 Law",
    "administrative_regulation": "行政法规 Administrative regulation",
    "state_council_decision": "国务院决定 State Council decision",
}
SECRECY_OUTCOMES = {"passed": "通过 Passed", "failed": "不通过 Failed"}
PERSONAL_OUTCOMES = {"none": "不涉及个人信息 No personal information", "passed": "通过 Passed", "failed": "不通过 Failed"}
FIELDS = {
    "organization_id": "所属机构 Organization",
    "uscc": "统一社会信用代码 Credit code",
    "level": "层级 Level",
    "system_id": "信息系统 System",
    "name": "名称 Name",
    "summary": "摘要 Summary",
    "class_path": "分类 Class",
    "kind": "类型 Kind",
    "provider_unit": "内部部门 Unit",
    "steward": "数据管理员 Steward",
    "update_cycle": "更新周期 Update cycle",
    "items": "信息项 Items",
    "key": "主键 Key",
    "code": "代码 Code",
    "data_type": "类型 Type",
    "length": "长度 Length",
    "scale": "小数位 Scale",
    "minimum": "最小值 Minimum",
    "maximum": "最大值 Maximum",
    "pattern": "格式表达式 Pattern",
    "format": "校验格式 Format",
    "code_set": "代码集 Code set",
    "description": "说明 Description",
    "required": "必填 Required",
    "sensitivity": "敏感性 Sensitivity",
    "format_class": "格式分类 Format class",
    "format_type": "格式类型 Format type",
    "format_note": "格式说明 Format note",
    "sharing_type": "共享类型 Sharing",
    "sharing_condition": "共享条件 Sharing condition",
    "sharing_scope": "共享范围 Sharing scope",
    "sharing_purposes": "使用用途 Purposes",
    "sharing_reason": "限制理由 Reason of the restriction",
    "sharing_channel": "共享方式分类 Channel",
    "sharing_mode": "共享方式类型 Mode",
    "non_sharing_basis": "不予共享依据 Basis",
    "standing_consent": "常设同意 Standing consent",
    "use_conditions": "使用要求 Use conditions",
    "open_type": "开放类型 Opening",
    "open_condition": "开放条件 Open condition",
    "open_theme": "开放主题 Open theme",
    "data_category": "数据分类 Category",
    "data_level": "数据分级 Level",
    "is_important": "重要数据 Important",
    "is_core": "核心数据 Core",
    "division_code": "行政区划代码 Division",
    "business_item": "业务事项 Business item",
    "authority_source": "职责依据 Authority",
    "related_codes": "关联资源 Related",
    "taxonomies": "所属库 Databases",
    "video": "视频点位 Camera",
    "census": "普查数字 Census",
    "is_classified": "涉密 Classified",
    "max_quarantined_ratio": "隔离上限 Quarantine limit",
    "secrecy_risk": "保密风险评估 Secrecy risk",
    "personal_information": "个人信息保护影响评估 Personal information",
    "outcome": "结论 Outcome",
    "assessed_by": "评估单位 Assessed by",
    "assessed_on": "评估日期 Assessed on",
    "note": "备注 Note",
    "reason": "理由 Reason",
    "faults": "问题 Faults",
    "pointer": "字段 Field",
    "detail": "说明 What is wrong",
    "notice_days": "公告天数 Days of notice",
    "is_main_system": "主系统 Main system",
    "sector": "领域 Sector",
    "title": "名称 Title",
    "article": "条款 Article",
    "item": "信息项 Item",
    "statement": "陈述 Statement",
    "text": "陈述 Statement",
    "document": "政府决定 Government's decision",
    "content": "内容 Content",
    "status": "状态 Status",
    "due_on": "期限 Due",
    "counterpart_id": "需求对象部门 Department asked",
    "resource_id": "资源 Resource",
    "basis": "依据 Basis",
    "forbids": "禁止事项 What it forbids",
    "file": "文件 File",
    "mode": "导入方式 Mode",
    "on_gov_cloud": "政务云 Government cloud",
    "parent_id": "上级机构 Organization above",
    "licence": "许可 Licence",
    "contract": "合同 Contract",
    "number": "编号 Number",
    "valid_until": "有效期至 Valid until",
    "shared_use": "统采共用 Shared use",
    "role": "职务 Office",
    "holder": "任职人 Holder",
    "since": "开始日期 Since",
    "until": "结束日期 Until",
}
PROBLEMS = {
    "invalid": "填写有误，请按提示修改 Some fields are not right",
    "resource-invalid": "登记信息不符合规则，请按提示修改 The entry breaks a rule",
    "resource-name-taken": "本部门已有同名资源 The name is taken",
    "uscc-taken": "该机构已登记 The organization is registered already",
    "system-name-taken": "本机构已有同名系统 The name is taken",
    "approval-invalid": "评估结论不支持审核通过 The assessments do not admit an approval",
    "return-invalid": "退回通知有误 The notice of faults is not right",
    "notice-too-short": "公告期太短 The notice is too short",
    "revision-passed": "该资源在您打开本页后已被修改 The resource was changed after this page was opened",
    "entry-passed": "该登记在您打开本页后已被修改 The entry was changed after this page was opened",
    "organization-invalid": "机构登记不符合规则，请按提示修改 The entry breaks a rule",
    "officer-invalid": "任职信息不符合规则，请按提示修改 The term of office breaks a rule",
    "cdo-present": "该机构已有首席数据官 The organization has a chief data officer",
    "office-held": "该任职人已担任此职务 The holder has this office already",
    "office-ended": "该任期已结束 The term of office is ended",
    "system-invalid": "系统登记不符合规则，请按提示修改 The entry breaks a rule",
    "system-transition": "系统当前状态不允许此操作 The system's state does not allow this",
    "off-cloud": "该系统未上政务云 The system is not on the government cloud",
    "nothing-catalogued": "该系统尚未编目，不能投入使用 Nothing of the system is catalogued",
    "still-catalogued": "该系统仍有已发布资源，不能停用 Resources of the system are in force",
    "sector-cap-reached": "该领域的主系统已满 The sector has its main systems",
    "sector-unknown": "没有这个领域 There is no such sector",
    "source-held": "该数据已有数源 The data element has its source already",
    "source-claim-invalid": "该信息项不能作为数源 The item cannot be a source",
    "source-claim-released": "该数源已放弃 The source was released already",
    "arbitration-open": "该事项已在仲裁中 The case is open already",
    "arbitration-decided": "该事项已裁决 The case is decided",
    "arbitration-closed": "该事项已结束 The case is closed",
    "arbitration-not-decided": "该事项尚未裁决 The case is not decided",
    "objection-late": "已过异议期限 The objection comes too late",
    "arbitration-decision-invalid": "裁决填写有误 The decision's entry is not right",
    "nothing-to-arbitrate": "没有可仲裁的争议 No other source stands in the way",
    "decision-impossible": "该裁决不能生效 This decision cannot take effect",
    "list-entry-invalid": "条目不符合清单规则，请按提示修改 The entry breaks a rule of the list",
    "list-entry-taken": "该部门在此清单中已有同名条目 The owner has an entry of this name",
    "scenario-not-approvable": "该场景不能批准 The scenario cannot be approved",
    "list-entry-passed": "该条目在您打开本页后已被修改 The entry was changed after this page was opened",
    "import-refused": "文件未导入 The file was not imported",
    "import-too-large": "文件太大 The file is too large",
    "unsupported-media": "不支持的文件类型 The file is of another kind",
    "unreadable": "文件无法读取 The file cannot be read",
    "illegal-transition": "当前状态不允许此操作 Its state does not allow this",
    "forbidden": "您的角色不能进行此操作 Your role does not allow this",
    "organization-not-found": "没有这个机构 There is no such organization",
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


def place(pointer: str) -> str:
    """Return what a JSON pointer into an entry is called: its fields' names, rows counted from 1 as readers do."""
    parts = [str(int(part) + 1) if part.isascii() and part.isdigit() else FIELDS.get(part, part) for part in pointer.split("/")[1:]]
    return " · ".join(part for part in parts if part != "-")


def vocabulary() -> dict[str, Any]:
    """Return all of them, by the names templates use."""
    return {name.lower(): value for name, value in globals().items() if name.isupper()} | {"place": place}
