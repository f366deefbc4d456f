"""Asking a department's interface: bounded in time and size, nothing of the caller but the question, nothing kept."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import httpx
import orjson
import polars as pl
import structlog

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.problem import Problem
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.reading import read
from exchange_svc.batch.staging import Staging
from exchange_svc.destinations import Address, DestinationUnknown, Network, addresses_of
from exchange_svc.outbound import asked, port_of
from exchange_svc.proxy import domain
from exchange_svc.proxy.errors import AnswerUnfit, DepartmentAway, DepartmentSlow

log = structlog.get_logger(__name__)
_HEADERS = {"Accept": "application/json"}
_RETRY_SECONDS = 30


class Forwarder:
    """What asking takes. Redirects are not followed: the data authority confirmed one address and no other."""

    def __init__(
        self, staging: Staging, *, timeout_seconds: float, answer_max_bytes: int, at_once: int, allowed: Sequence[Network] = ()
    ) -> None:
        self._staging = staging
        self._allowed = allowed
        self._at_once = asyncio.Semaphore(at_once)
        self._timeout_seconds = timeout_seconds
        self._answer_max_bytes = answer_max_bytes

    async def ask(self, address: str, question: Sequence[tuple[str, str]], items: Sequence[DataItem], *, department: str) -> pl.DataFrame:
        """Return the rows that the department answers, typed. Frame: n_rows × items.

        Raises: DepartmentSlow (504), DepartmentAway (503), AnswerUnfit (502), each naming the department.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds), self._at_once:
                content = await self._fetch(httpx.URL(address).copy_merge_params(list(question)), department)
        except TimeoutError:
            detail = (
                f"the interface of {department} did not answer within {self._timeout_seconds:g} s; try again later, or ask {department}"
            )
            raise DepartmentSlow(detail) from None
        except (httpx.HTTPError, httpx.InvalidURL) as away:
            raise _away(department, type(away).__name__) from away
        return await asyncio.to_thread(self._read, content, items, department)

    async def _fetch(self, url: httpx.URL, department: str) -> bytes:
        address = await self._place(url, department)
        async with asked(address, "GET", url, _HEADERS) as answer:
            if answer.status_code != 200:
                if answer.status_code >= 500:
                    raise _away(department, f"status {answer.status_code}")
                raise AnswerUnfit(
                    f"the interface of {department} answered with status {answer.status_code}, not with rows; ask {department}"
                )
            if answer.headers.get("Content-Encoding", "identity") != "identity":  # a few bytes could inflate to any number
                raise AnswerUnfit(f"the answer of {department} is compressed, which was not asked for; ask {department} to mend it")
            content = bytearray()
            async for piece in answer.aiter_raw():
                content += piece
                if len(content) > self._answer_max_bytes:
                    raise AnswerUnfit(f"the answer of {department} has more than {self._answer_max_bytes} bytes; ask for fewer rows")
            return bytes(content)

    async def _place(self, url: httpx.URL, department: str) -> Address:
        """Return where to connect to: to the address that was looked at, as the name may mean another one a moment later."""
        try:
            found = await addresses_of(url.host, port_of(url))
        except DestinationUnknown as unknown:
            raise _away(department, "its name is not known") from unknown
        if not all(domain.may_lie_at(one, self._allowed) for one in found):
            raise _away(department, "its name leads to no host of a department")
        return found[0]

    def _read(self, content: bytes, items: Sequence[DataItem], department: str) -> pl.DataFrame:
        """Read an answer; what is wrong with it is logged, and not told to the requester: it may quote what is not theirs."""
        try:
            rows = _rows(content, {item.code for item in items})
            if not rows:
                return pl.DataFrame(schema={item.code: pl.String for item in items})
            with self._staging.place() as place:  # for the reader, and gone with this call
                place.body.write_bytes(orjson.dumps(rows))
                chunks = list(read(place.body, MediaType.JSON, items))
        except (ValueError, RecursionError, Problem) as wrong:
            log.warning("proxy.answer_unfit", department=department, error=type(wrong).__name__)
            raise AnswerUnfit(f"the answer of {department} is not a JSON array of the resource's rows; ask {department}") from wrong
        if refused := sum(chunk.refused.height for chunk in chunks):
            raise AnswerUnfit(f"{refused} rows of the answer of {department} do not fit the resource; ask {department} to mend them")
        return pl.concat([chunk.rows for chunk in chunks])


def _rows(content: bytes, codes: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows of an answer, without what is no item of the resource. Raises: ValueError."""
    rows = orjson.loads(content)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("not an array of objects")
    return [{name: value for name, value in row.items() if name in codes} for row in rows]


def _away(department: str, why: str) -> DepartmentAway:
    return DepartmentAway(
        f"the interface of {department} cannot be reached ({why}); try again later, or ask {department}", retry_after_seconds=_RETRY_SECONDS
    )
