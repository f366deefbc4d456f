"""The settings of subscriptions."""

from pydantic import Field, IPvAnyNetwork

from dxmesh_runtime.settings import Group


class SubscriptionsSettings(Group):
    """How rows are brought to webhooks and tables, and where this node may connect to for it."""

    allowed_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="private networks whose hosts may be webhooks and tables' databases, also without TLS"
    )
    poll_seconds: float = Field(default=1.0, gt=0, description="how soon a change of a subscription or grant is noticed")
    answer_seconds: float = Field(default=15.0, gt=0, description="a webhook or database that takes longer has failed")
    batch_rows: int = Field(default=500, ge=1, le=10_000, description="rows of one webhook message or table transaction")
    batch_bytes: int = Field(default=1 << 20, ge=1024, description="of rows, about, in one webhook message or table transaction")
    first_retry_seconds: float = Field(default=2.0, gt=0, description="doubled each time, a random part of it waited")
    most_retry_seconds: float = Field(default=3600.0, gt=0)
    dead_after_seconds: int = Field(default=3 * 86_400, ge=1, description="failing for so long, a subscription is paused")
    dead_after_attempts: int = Field(default=1_000, ge=1, description="and also after so many failures in a row")
    keep_messages_seconds: int = Field(default=30 * 86_400, ge=60, description="how long records of delivered messages are kept")
    most_owned: int = Field(
        default=500, ge=1, description="that one process works on: each has a connection to Kafka; the others wait for another process"
    )
    most_per_grant: int = Field(default=10, ge=1, description="subscriptions of one grant that are not ended")
