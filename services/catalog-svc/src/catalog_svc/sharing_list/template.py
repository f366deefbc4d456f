"""The columns of each list as a file: what stands in the header, which field it is, and what a reader who got it wrong should write.

System and data lists take the columns of the catalogue guide (编制指南 发改高技〔2017〕1272号), the data list with the system a
resource hangs on and the codes of its items added; the four kept lists have a template of this node, described in docs/lists.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from catalog_svc.sharing_list.domain import FORBIDS_TITLES, STATUS_TITLES, STATUSES, KeptKind, ListKind
from dxmesh_schemas.catalog import DataItem, DataType, OpenType, SharingType, SystemKind, SystemState, UpdateCycle
from dxmesh_schemas.catalog_attributes import BasisKind, FormatClass, SharingChannel, SharingMode, UsePurpose


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `remedy` says what to write in it, and one that is only `shown` is not read back."""

    field: str
    title: str
    remedy: str = "write text"
    is_needed: bool = False
    is_shown: bool = False
    data_type: DataType = DataType.TEXT


BASIS_TITLES = {
    BasisKind.LAW: "法律",
    BasisKind.ADMINISTRATIVE_REGULATION: "行政法规",
    BasisKind.STATE_COUNCIL_DECISION: "国务院决定",
}
SHARING_TITLES = {
    SharingType.UNCONDITIONAL: "无条件共享",
    SharingType.CONDITIONAL: "有条件共享",
    SharingType.NOT_SHARED: "不予共享",
}
OPEN_TITLES = {OpenType.UNCONDITIONAL: "无条件开放", OpenType.CONDITIONAL: "有条件开放", OpenType.CLOSED: "不予开放"}
CYCLE_TITLES = {
    UpdateCycle.REALTIME: "实时",
    UpdateCycle.DAILY: "每日",
    UpdateCycle.WEEKLY: "每周",
    UpdateCycle.MONTHLY: "每月",
    UpdateCycle.QUARTERLY: "每季度",
    UpdateCycle.HALF_YEARLY: "每半年",
    UpdateCycle.YEARLY: "每年",
    UpdateCycle.IRREGULAR: "不定期",
    UpdateCycle.STATIC: "静态",
}
TYPE_TITLES = {
    DataType.TEXT: "字符型C",
    DataType.NUMBER: "数值型N",
    DataType.MONEY: "货币型Y",
    DataType.DATE: "日期型D",
    DataType.DATETIME: "日期时间型T",
    DataType.LOGICAL: "逻辑型L",
    DataType.LONG_TEXT: "备注型M",
    DataType.GENERIC: "通用型G",
    DataType.DOUBLE: "双精度型B",
    DataType.INTEGER: "整型I",
    DataType.FLOAT: "浮点型F",
}
FORMAT_TITLES = {
    FormatClass.ELECTRONIC_FILE: "电子文件",
    FormatClass.SPREADSHEET: "电子表格",
    FormatClass.DATABASE: "数据库",
    FormatClass.GRAPHIC: "图形图像",
    FormatClass.STREAM: "流媒体",
    FormatClass.SELF_DESCRIBING: "自描述格式",
    FormatClass.SERVICE: "服务接口",
}
CHANNEL_TITLES = {
    SharingChannel.PLATFORM: "共享平台",
    SharingChannel.MAIL: "邮件",
    SharingChannel.DISK: "拷盘",
    SharingChannel.MEDIA: "介质交换",
}
MODE_TITLES = {SharingMode.DATABASE: "数据库", SharingMode.FILE: "文件", SharingMode.API: "接口"}
SYSTEM_TITLES = {SystemKind.OWN: "自建", SystemKind.NATION: "国垂", SystemKind.PROVINCE: "省垂", SystemKind.CITY: "市垂"}
SYSTEM_STATE_TITLES = {SystemState.PLANNED: "规划建设", SystemState.IN_SERVICE: "在用", SystemState.RETIRED: "已停用"}
PURPOSE_TITLES = {
    UsePurpose.ADMINISTRATIVE_BASIS: "行政依据",
    UsePurpose.WORK_REFERENCE: "工作参考",
    UsePurpose.DATA_CHECKING: "数据校核",
    UsePurpose.COLLABORATION: "业务协同",
}


def _one_of(titles: Sequence[str]) -> str:
    return f"write one of {', '.join(titles)}"


_NAME = "write 1 to 200 visible characters, digits and Latin letters in half width"
_USCC = "write the unified social credit code of a registered organization, 18 characters"
_LISTS = "look it up in the catalogue, or leave the cell empty"


def _kept(kind: KeptKind) -> tuple[Column, ...]:
    statuses = [STATUS_TITLES[status] for status in STATUSES[kind]]
    own: tuple[Column, ...] = ()
    if kind is KeptKind.DEMAND:
        own = (Column("counterpart_uscc", "提供部门统一社会信用代码", _USCC), Column("counterpart_name", "提供部门", is_shown=True))
    if kind is KeptKind.NEGATIVE:
        own = (
            Column("basis_kind", "依据类型", _one_of(list(BASIS_TITLES.values())), is_needed=True),
            Column("basis_title", "依据名称", "write the title of the law, regulation or decision", is_needed=True),
            Column("basis_article", "依据条款", "write its article, such as 第三十八条", is_needed=True),
            Column("forbids", "禁止事项", f"{_one_of(list(FORBIDS_TITLES.values()))}; the first when it is empty"),
        )
    return (
        Column("entry_id", "编号", "leave it as it was exported, or empty for a new entry"),
        Column("owner_uscc", "责任部门统一社会信用代码", _USCC, is_needed=True),
        Column("owner_name", "责任部门", is_shown=True),
        Column("name", "名称", _NAME, is_needed=True),
        Column("content", "内容", "write at most 4,000 characters"),
        Column("status", "状态", _one_of(statuses)),
        Column(
            "due_on",
            "完成期限",
            "write a day of the years 2000 to 2099, such as 2026-12-31",
            is_needed=kind is not KeptKind.NEGATIVE,
            data_type=DataType.DATE,
        ),
        Column("resource_code", "信息资源代码", _LISTS),
        Column("system_name", "信息系统名称", _LISTS),
        *own,
        Column("version", "版本", "leave it as it was exported, or empty", data_type=DataType.INTEGER),
        Column("changed_at", "更新时间", is_shown=True),
    )


_YES_NO = _one_of(["是", "否"])
_SYSTEM = (
    Column("owner_uscc", "责任部门统一社会信用代码", _USCC, is_needed=True),
    Column("owner_name", "责任部门", is_shown=True),
    Column("name", "信息系统名称", _NAME, is_needed=True),
    Column("kind", "系统类型", _one_of(list(SYSTEM_TITLES.values()))),
    Column("state", "系统状态", is_shown=True),
    Column("on_gov_cloud", "是否部署在政务云", _YES_NO),
    Column("is_main_system", "是否主系统", is_shown=True),
    Column("sector", "行业领域", is_shown=True),
    Column("resource_count", "已编目信息资源数", is_shown=True),
    Column("registered_at", "登记时间", is_shown=True),
)
_NUMBER = "write a number from 0, or leave the cell empty"
CENSUS = ("total_gb", "total_rows_10k", "shared_gb", "shared_rows_10k", "open_gb", "open_rows_10k")
_DATA = (
    Column("class_path", "信息资源分类", "write 类/项/目/细目 such as 3/30/102/01"),
    Column("name", "信息资源名称", _NAME),
    Column("resource_code", "信息资源代码", is_shown=True),
    Column("provider_name", "信息资源提供方", is_shown=True),
    Column("provider_unit", "提供方内部部门"),
    Column("provider_uscc", "信息资源提供方代码", _USCC),
    Column("summary", "信息资源摘要", "say in 1 to 4,000 characters what the data are"),
    Column("format_class", "信息资源格式分类", _one_of(list(FORMAT_TITLES.values()))),
    Column("format_type", "信息资源格式类型"),
    Column("format_note", "其他类型资源格式描述"),
    Column("item_name", "信息项名称", _NAME),
    Column("item_type", "数据类型", _one_of(list(TYPE_TITLES.values()))),
    Column("item_length", "数据长度", "write a whole number of characters from 1, or leave the cell empty", data_type=DataType.INTEGER),
    Column("is_classified", "涉密属性", "write 非涉密: classified data do not belong in the catalogue"),
    Column("sharing_type", "共享类型", _one_of(list(SHARING_TITLES.values()))),
    Column("sharing_condition", "共享条件", "write scope and purposes of use for 有条件共享, nothing for the other types"),
    Column("sharing_channel", "共享方式分类", _one_of(list(CHANNEL_TITLES.values()))),
    Column("sharing_mode", "共享方式类型", _one_of(list(MODE_TITLES.values()))),
    Column("open_type", "是否向社会开放", _one_of([*OPEN_TITLES.values(), "是", "否"])),
    Column("open_condition", "开放条件"),
    Column("update_cycle", "更新周期", _one_of(list(CYCLE_TITLES.values()))),
    Column("published_on", "发布日期", is_shown=True),
    Column("related_codes", "关联资源代码", "write resource codes with 、 between them"),
    Column("total_gb", "数据存储总量(G)", _NUMBER, data_type=DataType.DOUBLE),
    Column("total_rows_10k", "结构化信息总记录数(万)", _NUMBER, data_type=DataType.DOUBLE),
    Column("shared_gb", "已共享的数据存储量(G)", _NUMBER, data_type=DataType.DOUBLE),
    Column("shared_rows_10k", "已共享的结构化记录数(万)", _NUMBER, data_type=DataType.DOUBLE),
    Column("open_gb", "已开放的数据存储量(G)", _NUMBER, data_type=DataType.DOUBLE),
    Column("open_rows_10k", "已开放的结构化记录数(万)", _NUMBER, data_type=DataType.DOUBLE),
    Column("system_name", "所属信息系统", "write the name of a system the provider has registered"),
    Column("sharing_scope", "共享范围"),
    Column("sharing_purposes", "使用用途", f"write some of {', '.join(PURPOSE_TITLES.values())}, with 、 between them"),
    Column("sharing_reason", "不予共享或有条件共享理由"),
    Column("steward", "数据管理员", "write the post that keeps the entry current"),
    Column("basis_kind", "不予共享依据类型", _one_of(list(BASIS_TITLES.values()))),
    Column("basis_title", "不予共享依据名称", "write the title of the law, regulation or decision"),
    Column("basis_article", "不予共享依据条款", "write its article, such as 第三十八条"),
    Column("item_code", "信息项代码", "write a Latin letter, then up to 62 Latin letters, digits and underscores, or leave the cell empty"),
    Column("item_sharing_type", "信息项共享类型", _one_of(list(SHARING_TITLES.values()))),
    Column("item_open_type", "信息项开放类型", _one_of(list(OPEN_TITLES.values()))),
    Column("item_is_key", "是否主键", _YES_NO),
)
COLUMNS: dict[ListKind, tuple[Column, ...]] = {
    ListKind.SYSTEM: _SYSTEM,
    ListKind.DATA: _DATA,
    **{ListKind(kind.value): _kept(kind) for kind in KeptKind},
}
NEEDED = {
    kind: [column.field for column in columns if column.is_needed] for kind, columns in COLUMNS.items() if kind is not ListKind.DATA
} | {
    ListKind.DATA: [
        "class_path",
        "name",
        "provider_uscc",
        "summary",
        "item_name",
        "item_type",
        "sharing_type",
        "update_cycle",
        "system_name",
    ]
}
"""The columns a file must have; in the data list their cells may be empty in the rows below a resource's first (merged cells)."""


def items_of(kind: ListKind) -> list[DataItem]:
    """Return a list's columns as the reader of files knows columns."""
    return [DataItem(code=column.field, name=column.title, data_type=column.data_type) for column in COLUMNS[kind]]


def titles_of(kind: ListKind) -> dict[str, str]:
    """Return the header of a list's file by field."""
    return {column.field: column.title for column in COLUMNS[kind]}


def column_of(kind: ListKind, field: str) -> Column:
    """Return a column by its field; KeyError when the list has none."""
    return next(column for column in COLUMNS[kind] if column.field == field)
