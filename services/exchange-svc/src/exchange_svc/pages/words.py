"""What the pages call things: each with its badge's colour."""

from typing import Any

from dxmesh_clocks.policy import RuleName
from dxmesh_schemas.catalog import UpdateCycle
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.clock.domain import Standing as ClockStanding
from exchange_svc.correction.domain import State as CorrectionState
from exchange_svc.dispute.domain import Outcome, Rung
from exchange_svc.dispute.domain import State as DisputeState
from exchange_svc.inventory.domain import Kind
from exchange_svc.inventory.domain import State as IntakeState
from exchange_svc.lag.domain import Standing as LagStanding
from exchange_svc.reader.domain import State as ReaderState
from exchange_svc.reconciliation.domain import CaseState, Side
from exchange_svc.request.domain import State as RequestState
from exchange_svc.subscription.domain import State as SubscriptionState

Word = tuple[str, str]

TABS = (
    ("", "总览 Overview"),
    ("requests", "申请 Requests"),
    ("clocks", "时限 Deadlines"),
    ("disputes", "争议 Disputes"),
    ("corrections", "更正 Corrections"),
    ("intake", "接入 Intake"),
    ("channels", "通道 Channels"),
    ("subscriptions", "订阅 Subscriptions"),
    ("packages", "文件包 Packages"),
    ("readers", "读取用户 Readers"),
    ("lag", "时延 Lag"),
    ("reconciliation", "对账 Reconciliation"),
    ("late", "逾期未更新 Late feeds"),
)
RULES = {
    RuleName.REQUEST_UNCONDITIONAL: "答复无条件共享申请 Answer, unconditional",
    RuleName.REQUEST_CONDITIONAL: "答复有条件共享申请 Answer, conditional",
    RuleName.DELIVERY: "提供数据 Delivery",
    RuleName.CORRECTION: "核实更正 Correction",
    RuleName.DISPOSAL: "处置数据 Disposal",
    RuleName.REMEDY: "整改 Remedy",
    RuleName.DISPUTE_NEGOTIATION: "争议协商 Negotiation",
    RuleName.DISPUTE_DECISION: "争议裁决 Decision",
}
STANDINGS: dict[ClockStanding, Word] = {
    ClockStanding.RUNNING: ("进行中 running", "busy"),
    ClockStanding.APPROACHING: ("即将到期 approaching", "warn"),
    ClockStanding.PAUSED: ("暂停 paused", "idle"),
    ClockStanding.MISSED: ("逾期 missed", "bad"),
    ClockStanding.MET: ("按时 met", "good"),
    ClockStanding.STOPPED: ("终止 stopped", "idle"),
}
REQUESTS: dict[RequestState, Word] = {
    RequestState.DRAFT: ("草稿 draft", "idle"),
    RequestState.APPROVED: ("单位已批准 approved", "idle"),
    RequestState.SUBMITTED: ("已提交 submitted", "busy"),
    RequestState.UNDER_REVIEW: ("审核中 under review", "busy"),
    RequestState.MATERIALS_REQUESTED: ("待补材料 material asked", "warn"),
    RequestState.EXTENDED: ("已延期 extended", "warn"),
    RequestState.DISPUTED: ("争议中 disputed", "warn"),
    RequestState.GRANTED: ("已同意 granted", "good"),
    RequestState.REFUSED: ("不同意 refused", "bad"),
    RequestState.WITHDRAWN: ("已撤回 withdrawn", "idle"),
}
DISPUTES: dict[DisputeState, Word] = {
    DisputeState.OPEN: ("待答复 open", "warn"),
    DisputeState.DECIDED: ("已裁决 decided", "busy"),
    DisputeState.SETTLED: ("已终结 settled", "good"),
    DisputeState.WITHDRAWN: ("已撤回 withdrawn", "idle"),
}
RUNGS = {
    Rung.NEGOTIATION: "双方协商 Negotiation",
    Rung.AUTHORITY: "同级主管部门 Authority",
    Rung.UPPER_AUTHORITY: "上级主管部门 Upper authority",
    Rung.GOVERNMENT: "人民政府 Government",
}
OUTCOMES = {Outcome.GRANTED: "同意共享 granted", Outcome.UPHELD: "维持 upheld"}
CORRECTIONS: dict[CorrectionState, Word] = {
    CorrectionState.FILED: ("待核实 filed", "warn"),
    CorrectionState.CORRECTED: ("已更正 corrected", "good"),
    CorrectionState.REJECTED: ("不予更正 rejected", "bad"),
    CorrectionState.WITHDRAWN: ("已撤回 withdrawn", "idle"),
}
INTAKES: dict[IntakeState, Word] = {
    IntakeState.WORKING: ("正常 working", "good"),
    IntakeState.FAILING: ("故障 failing", "bad"),
    IntakeState.TO_CONSOLIDATE: ("待整合 to consolidate", "warn"),
    IntakeState.CONSOLIDATED: ("已整合 consolidated", "busy"),
    IntakeState.RETIRED: ("已停用 retired", "idle"),
}
KINDS = {Kind.FOLDER: "文件夹 folder", Kind.TABLE: "库表 table", Kind.LEGACY: "原有通道 legacy"}
SUBSCRIPTIONS: dict[SubscriptionState, Word] = {
    SubscriptionState.ACTIVE: ("推送中 active", "good"),
    SubscriptionState.PAUSED: ("暂停 paused", "warn"),
    SubscriptionState.DEAD: ("失效 dead", "bad"),
    SubscriptionState.ENDED: ("已结束 ended", "idle"),
}
MODES = {
    Mode.TOPIC: "主题 topic",
    Mode.PULL: "拉取 pull",
    Mode.WEBHOOK: "回调 webhook",
    Mode.FILE: "文件 file",
    Mode.TABLE: "库表 table",
    Mode.VERIFY: "核验 verify",
}
PACKAGES: dict[str, Word] = {
    "waiting": ("生成中 being made", "busy"),
    "ready": ("可下载 ready", "good"),
    "deleted": ("已删除 deleted", "idle"),
}
READERS: dict[ReaderState, Word] = {
    ReaderState.ACTIVE: ("有效 active", "good"),
    ReaderState.WAITING: ("无授权 waiting", "idle"),
    ReaderState.REVOKED: ("已注销 revoked", "idle"),
}
LAGS: dict[LagStanding, Word] = {
    LagStanding.CURRENT: ("已读完 current", "good"),
    LagStanding.READING: ("读取中 reading", "busy"),
    LagStanding.BEHIND: ("落后 behind", "bad"),
    LagStanding.SUSPENDED: ("授权暂停 suspended", "idle"),
}
CASES: dict[CaseState, Word] = {
    CaseState.OPEN: ("有差异 open", "bad"),
    CaseState.SETTLED: ("已了结 settled", "good"),
}
CYCLES = {
    UpdateCycle.REALTIME: "实时 realtime",
    UpdateCycle.DAILY: "每日 daily",
    UpdateCycle.WEEKLY: "每周 weekly",
    UpdateCycle.MONTHLY: "每月 monthly",
    UpdateCycle.QUARTERLY: "每季度 quarterly",
    UpdateCycle.HALF_YEARLY: "每半年 half-yearly",
    UpdateCycle.YEARLY: "每年 yearly",
}
SIDES = {Side.PROVIDER: "提供方 Provider", Side.REQUESTER: "使用方 Requester"}


def span(seconds: float) -> str:
    """Say how long something lasts, in its two greatest units."""
    whole = round(seconds)
    parts = [(whole // 86_400, "天"), (whole // 3_600 % 24, "小时"), (whole // 60 % 60, "分"), (whole % 60, "秒")]
    first = next((number for number, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count or len(parts[first:]) == 1) or "0 秒"


def vocabulary() -> dict[str, Any]:
    """Return the words that templates look up."""
    return {name.lower(): value for name, value in globals().items() if name.isupper()} | {"span": span}
