"""The settings of exchange-svc."""

import tempfile
from pathlib import Path

from pydantic import Field, IPvAnyNetwork

from dxmesh_clocks.settings import PolicySettings
from dxmesh_runtime.settings import Group, ObjectStoreSettings, ServiceSettings, SigningSettings
from exchange_svc.api.settings import ApiSettings
from exchange_svc.delivery.settings import DeliverySettings
from exchange_svc.lag.settings import LagSettings
from exchange_svc.reader.settings import ReaderSettings
from exchange_svc.subscription.settings import SubscriptionsSettings
from exchange_svc.table.settings import TableSettings


class StagingSettings(Group):
    """Where bodies lie while they arrive and are read; on the object store's device, objects need no second copy."""

    folder: Path = Path(tempfile.gettempdir()) / "dxmesh-exchange"


class UploadsSettings(Group):
    """Uploads in parts; they lie in `uploads` below the staging folder, which has to outlive the process for them to."""

    term_seconds: int = Field(default=3 * 86_400, ge=60, description="an upload that nothing was added to for so long is removed")
    idle_seconds: float = Field(default=60, gt=0, description="a connection that brings nothing for so long is given up")
    max_open: int = Field(default=100, ge=1, description="unfinished uploads of one organization")
    max_open_bytes: int = Field(default=50 * 1024**3, ge=1, description="what those may come to on disk, together")


class StreamsSettings(Group):
    """Streams of rows over long-lived connections."""

    idle_seconds: float = Field(default=300, gt=0, description="a stream that brings nothing for so long is ended")
    max_open: int = Field(default=200, ge=1, description="streams one process serves at a time, each with up to 16 MiB in memory")
    max_open_each: int = Field(default=50, ge=1, description="of these, streams of one organization")


class ProxySettings(Group):
    """Asking a department's own interface on a requester's behalf."""

    timeout_seconds: float = Field(default=10, gt=0, description="for the whole answer of the department")
    answer_max_bytes: int = Field(default=8 * 1024**2, ge=1, description="of one answer of the department")
    at_once: int = Field(default=16, ge=1, description="departments' answers that are waited for at a time; more wait within the timeout")
    allowed_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="networks of this host's own (127.0.0.0/8, 169.254.0.0/16) in which interfaces may lie"
    )


class LimitsSettings(Group):
    """What one push may be, and how many are read at a time."""

    body_max_bytes: int = Field(default=2 * 1024**3, ge=1, description="of one body as it arrives")
    inflated_max_bytes: int = Field(default=20 * 1024**3, ge=1, description="of one body after gzip or zstd")
    idle_seconds: float = Field(default=60, gt=0, description="a push that brings nothing for so long is given up")
    parse_concurrency: int = Field(default=2, ge=1, description="bodies read at once; memory is about 400 MB for each large one")


class NodeSettings(Group):
    """The node, as acknowledgements name it."""

    code: str = Field(default="330600", pattern=r"^\S{1,40}$", description="the node's division code (GB/T 2260)")

    @property
    def origin(self) -> str:
        """Return the name by which the node asks webhooks whether they take its messages."""
        return f"{self.code}.dxmesh"


class Settings(ServiceSettings):
    """What exchange-svc is configured by."""

    object_store: ObjectStoreSettings
    signing: SigningSettings
    staging: StagingSettings = StagingSettings()
    limits: LimitsSettings = LimitsSettings()
    uploads: UploadsSettings = UploadsSettings()
    streams: StreamsSettings = StreamsSettings()
    proxy: ProxySettings = ProxySettings()
    node: NodeSettings = NodeSettings()
    policy: PolicySettings = PolicySettings()
    delivery: DeliverySettings = DeliverySettings()
    reader: ReaderSettings = ReaderSettings()
    subscriptions: SubscriptionsSettings = SubscriptionsSettings()
    table: TableSettings = TableSettings()
    apis: ApiSettings = ApiSettings()
    lag: LagSettings = LagSettings()

    @property
    def public_url(self) -> str:
        """Return the address this service is known by."""
        return self.server.public_url or f"http://{self.server.host}:{self.server.port}"
