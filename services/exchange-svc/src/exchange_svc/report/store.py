"""How long it takes from a demand to its request, to the answer, to the first data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

STEPS = ("demand_to_request", "request_to_answer", "answer_to_data")
_SPAN = "percentile_cont({at}) WITHIN GROUP (ORDER BY {step}) AS {step}_{name}_seconds"
_SPANS = ", ".join(
    f"count({step}) AS {step}_count, "
    + ", ".join(_SPAN.format(at=at, step=step, name=name) for at, name in ((0.5, "median"), (0.9, "p90")))
    for step in STEPS
)
_RESPONSE_TIMES = text(
    f"""
    WITH asked AS (
        SELECT request.provider_id, request.provider ->> 'name' AS provider,
            to_char(request.submitted_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM') AS month,
            CASE WHEN demand.entered_at <= request.submitted_at
                THEN extract(epoch FROM request.submitted_at - demand.entered_at)::float8 END AS demand_to_request,
            CASE WHEN request.state IN ('granted', 'refused')
                THEN extract(epoch FROM request.decided_at - request.submitted_at)::float8 END AS request_to_answer,
            CASE WHEN request.state = 'granted'
                THEN extract(epoch FROM greatest(request.first_data_at - request.decided_at, interval '0'))::float8 END AS answer_to_data
        FROM sharing_request AS request LEFT JOIN list_entry AS demand ON demand.entry_id = request.demand_id
        WHERE request.submitted_at >= :since AND (CAST(:provider_id AS uuid) IS NULL OR request.provider_id = :provider_id)
    )
    SELECT provider_id, max(provider) FILTER (WHERE provider_id IS NOT NULL) AS provider, month, count(*) AS request_count, {_SPANS}
    FROM asked GROUP BY GROUPING SETS ((provider_id, month), ())
    ORDER BY month NULLS FIRST, provider_id
    """  # made of this module's own words
)


async def response_times(tx: AsyncSession, *, provider_id: UUID | None, since: datetime) -> Sequence[dict[str, Any]]:
    """Return counts, medians and 90th percentiles in seconds of requests handed in since then; the first row is of all of them.

    A step that a request has not taken yet does not count in it; answered is granted or refused.
    """
    rows = await tx.execute(_RESPONSE_TIMES, {"provider_id": provider_id, "since": since})
    return [dict(row) for row in rows.mappings()]
