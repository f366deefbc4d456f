"""Figures of sharing requests in a running mesh: a thousand handed in, open with their clocks running, listed, and answered."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import data
from benchmarks.flow import Flow
from benchmarks.report import Row

OPEN = 1_000
_LISTED = 200
_REST_SECONDS = 20
_ASKED = {"legal_basis": "政务数据共享条例第二十条", "scenario": "核对", "purpose": "行政依据", "approved_by": "局长"}
_REFUSED = {"outcome": "refused", "approved_by": "局长", "reason": "用途不符"}


def run(flow: Flow, *, count: int = OPEN) -> list[Row]:
    """Hand requests in, look at the mesh while they are open, list them, and answer each; all by one client a side, one after the other."""
    conditional = {
        "sharing_type": "CONDITIONAL",
        "sharing_condition": "限执法使用",
        "sharing_purposes": ["ADMINISTRATIVE_BASIS"],
        "sharing_reason": "含执法过程信息",
        "standing_consent": None,
    }
    resource_id = flow.node.resource(flow.provider, "申请", data.ITEMS, key=["id"], open_type="CLOSED", **conditional)
    url = f"{flow.node.profile.exchange}/v1/requests"
    asked = _ASKED | {"resource_id": str(resource_id)}
    ids: list[str] = []
    submit = _timed(lambda _: ids.append(flow.requester.client.call("POST", url, json=asked).json()["request_id"]), range(count))
    used, begun = flow.cpu_seconds(), time.perf_counter()
    time.sleep(_REST_SECONDS)
    rest = (flow.cpu_seconds() - used) / (time.perf_counter() - begun) * 100
    clocks = f"{flow.node.profile.exchange}/v1/clocks?owed=true&limit=100"
    owed = _timed(lambda _: flow.provider.client.call("GET", clocks), range(_LISTED))
    listed = _timed(lambda _: flow.provider.client.call("GET", f"{url}?limit=100"), range(_LISTED))
    used = flow.cpu_seconds()
    decide = _timed(lambda one: flow.provider.client.call("POST", f"{url}/{one}/decision", json=_REFUSED), ids)
    cpu = (flow.cpu_seconds() - used) / len(ids) * 1e3
    print(f"  {count:,} open requests: submit {_p99(submit):.1f} ms, list {_p99(listed):.1f} ms, decide {_p99(decide):.1f} ms (p99)")
    name, about = f"open_requests_{count}", f"{count:,} open requests with their clocks"
    return [
        Row(f"{name}_submit_p99_ms", f"{about}: one more handed in, p99", _p99(submit), "ms"),
        Row(f"{name}_list_p99_ms", f"{about}: a page of a hundred requests, p99", _p99(listed), "ms"),
        Row(f"{name}_clocks_p99_ms", f"{about}: a page of a hundred clocks, p99", _p99(owed), "ms"),
        Row(f"{name}_decide_p99_ms", f"{about}: one answered, p99", _p99(decide), "ms"),
        Row(f"{name}_decide_cpu_ms", f"{about}: processor time of services, broker and PostgreSQL an answer", cpu, "ms"),
        Row(f"{name}_rest_cpu_percent", f"{about}: the whole mesh while nothing happens, of one core", rest, "%"),
    ]


def _timed(call: Callable[[Any], Any], of: Iterable[Any]) -> list[float]:
    """Return the milliseconds of each call."""
    taken = []
    for one in of:
        begun = time.perf_counter()
        call(one)
        taken.append((time.perf_counter() - begun) * 1e3)
    return taken


def _p99(taken: list[float]) -> float:
    return sorted(taken)[math.ceil(len(taken) * 0.99) - 1]
