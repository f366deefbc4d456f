"""HTTP of the reports of exchange-svc."""

from datetime import date, timedelta
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Header, Query, Response

from dxmesh_clocks.working_days import begin_of, day_of
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.problems import problems
from exchange_svc import formats
from exchange_svc.access import whose
from exchange_svc.report import store

router = APIRouter(prefix="/v1/reports", tags=["reports"])
_FORMS = (formats.Format.JSON, formats.Format.CSV)
_DAYS = 366
_SCHEMA = {"provider_id": pl.String, "provider": pl.String, "month": pl.String, "request_count": pl.Int64} | {
    f"{step}_{name}": kind
    for step in store.STEPS
    for name, kind in (("count", pl.Int64), ("median_seconds", pl.Float64), ("p90_seconds", pl.Float64))
}


@router.get("/response-times", responses=formats.responses(_FORMS) | problems(formats.FormatUnsupported), response_class=Response)
async def get_response_times(
    who: Who,
    tx: Tx,
    since: Annotated[date | None, Query(description="requests handed in from this day on, in China; a year back when left out")] = None,
    format: formats.Format | None = None,  # noqa: A002  # the name callers know
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Say how long demands take to become requests, requests to be answered, and answers to bring their first data.

    One line for each provider and month of handing in, the first of all; a provider reads its own, the data authority those of all.
    """
    form = formats.choose(format, accept, _FORMS)
    first = since or day_of(utc_now()) - timedelta(days=_DAYS)
    rows = await store.response_times(tx, provider_id=whose(who), since=begin_of(first))
    frame = pl.DataFrame([row | {"provider_id": row["provider_id"] and str(row["provider_id"])} for row in rows], schema=_SCHEMA)
    return await formats.answer(frame, form, next_cursor=None, name="response-times")
