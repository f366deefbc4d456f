"""The settings of readers."""

from typing import Literal

from pydantic import Field

from dxmesh_runtime.settings import Group, KafkaSettings


class ReaderSettings(Group):
    """How subscribers reach the broker, where that differs from how the services do."""

    bootstrap_servers: str | None = Field(default=None, description="the address readers are told; KAFKA__BOOTSTRAP_SERVERS when absent")
    security_protocol: Literal["SASL_PLAINTEXT", "SASL_SSL"] | None = Field(
        default=None, description="how they connect there; KAFKA__SECURITY_PROTOCOL when absent"
    )
    check_seconds: float = Field(default=10.0, gt=0, description="between two looks at the broker when nothing changes here")

    def told(self, kafka: KafkaSettings) -> tuple[str, str] | None:
        """Return address and protocol of readers; None where the broker is one that asks nobody who they are."""
        protocol = self.security_protocol or kafka.security_protocol
        if not (protocol.startswith("SASL") and kafka.security_protocol.startswith("SASL")):
            return None
        return self.bootstrap_servers or kafka.bootstrap_servers, protocol
