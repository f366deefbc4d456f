"""Figures of sharing requests in a running mesh: a thousand open with their clocks running, one more handed in, listed, and answered."""

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import data
from benchmarks.flow import Flow
from benchmarks.report import Row

OPEN = 1_000
_MEASURED = 100  # of each call, by one client, one after the other
_CLIENTS = 4  # for what is not measured one by one
_REST_SECONDS = 10
_SETTLE_SECONDS = 5
_ASKED = {"legal_basis": "政务数据共享条例第二十条", "scenario": "核对", "purpose": "行政依据", "approved_by": "局长"}
_REFUSED = {"outcome": "refused", "approved_by": "局长", "reason": "用途不符"}


def run(flow: Flow, *, count: int = OPEN) -> list[Row]:
    """Look at the mesh at rest before requests and while they are open, time calls among them, and answer each; about a minute."""
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

    def ask(_: int) -> str:
        request_id: str = flow.requester.client.call("POST", url, json=asked).json()["request_id"]
        return request_id

    def refuse(request_id: str) -> None:
        flow.provider.client.call("POST", f"{url}/{request_id}/decision", json=_REFUSED)

    empty = _rest(flow)
    used = _Used(flow, empty)
    with ThreadPoolExecutor(_CLIENTS) as pool:
        ids = list(pool.map(ask, range(count - _MEASURED)))
    submit = _timed(lambda number: ids.append(ask(number)), range(_MEASURED))
    time.sleep(_SETTLE_SECONDS)  # until every service has heard of them
    submit_cpu = used.milliseconds() / count
    full = _rest(flow)
    clocks = f"{flow.node.profile.exchange}/v1/clocks?owed=true&limit=100"
    owed = _timed(lambda _: flow.provider.client.call("GET", clocks), range(_MEASURED))
    listed = _timed(lambda _: flow.provider.client.call("GET", f"{url}?limit=100"), range(_MEASURED))
    used = _Used(flow, full)
    decide = _timed(refuse, ids[:_MEASURED])
    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(refuse, ids[_MEASURED:]))
    time.sleep(_SETTLE_SECONDS)
    decide_cpu = used.milliseconds() / count
    print(f"  {count:,} open requests: submit {_p99(submit):.1f} ms, list {_p99(listed):.1f} ms, decide {_p99(decide):.1f} ms (p99)")
    name, about = f"open_requests_{count}", f"{count:,} open requests with their clocks"
    cpu = "processor time of services, broker and PostgreSQL, beyond that at rest,"
    return [
        Row(f"{name}_submit_p99_ms", f"{about}: one more handed in, p99", _p99(submit), "ms"),
        Row(f"{name}_submit_cpu_ms", f"{about}: {cpu} for one handed in", submit_cpu, "ms"),
        Row(f"{name}_list_p99_ms", f"{about}: a page of a hundred requests, p99", _p99(listed), "ms"),
        Row(f"{name}_clocks_p99_ms", f"{about}: a page of a hundred clocks, p99", _p99(owed), "ms"),
        Row(f"{name}_decide_p99_ms", f"{about}: one answered, p99", _p99(decide), "ms"),
        Row(f"{name}_decide_cpu_ms", f"{about}: {cpu} for one answered", decide_cpu, "ms"),
        Row(f"{name}_rest_cpu_percent", f"{about}: the whole mesh while nothing happens, of one core", full, "%"),
        Row(f"{name}_none_rest_cpu_percent", "no open request: the whole mesh while nothing happens, of one core", empty, "%"),
    ]


class _Used:
    """The processor time a mesh uses from now on, beyond what it uses at rest."""

    def __init__(self, flow: Flow, rest_percent: float) -> None:
        self._flow, self._rest = flow, rest_percent / 100
        self._used, self._begun = flow.cpu_seconds(), time.perf_counter()

    def milliseconds(self) -> float:
        """Return it."""
        used, elapsed = self._flow.cpu_seconds() - self._used, time.perf_counter() - self._begun
        return max(0.0, used - self._rest * elapsed) * 1e3


def _rest(flow: Flow) -> float:
    """Return what share of one core the mesh uses while nothing is asked of it, in percent."""
    used, begun = flow.cpu_seconds(), time.perf_counter()
    time.sleep(_REST_SECONDS)
    return (flow.cpu_seconds() - used) / (time.perf_counter() - begun) * 100


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
