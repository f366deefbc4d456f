"""The settings of the delivery worker."""

from pydantic import Field

from dxmesh_runtime.settings import Group


class DeliverySettings(Group):
    """How rows travel to views' topics."""

    topic_retention_ms: int = Field(default=-1, ge=-1, description="how long a view's topic keeps records; -1 keeps them")
    transaction_rows: int = Field(
        default=200_000, ge=1, description="waiting dispatches share a transaction up to so many rows; one batch is never cut"
    )
    transaction_timeout_ms: int = Field(default=900_000, ge=10_000, description="at most the broker's transaction.max.timeout.ms")
    progress_seconds: float = Field(
        default=20.0, gt=0, description="a broker that acknowledges nothing for so long is given up and met anew"
    )
    columnar: bool = Field(default=True, description="make record batches from columns; false makes them row by row, three times slower")
    members_keys: int = Field(
        default=4_000_000,
        ge=0,
        description="keys of filtered views' readers a partition keeps at hand, 17 bytes each; one view may have more",
    )
