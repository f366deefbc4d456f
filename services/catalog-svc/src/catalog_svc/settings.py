"""The settings of catalog-svc."""

import re

from pydantic import Field, SecretStr, field_validator

from dxmesh_clocks.settings import PolicySettings
from dxmesh_runtime.settings import Group, ServiceSettings, SigningSettings

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")


class BootstrapSettings(Group):
    """The node's first client: authority, operator and auditor, of no organization."""

    client_id: str
    client_secret: SecretStr

    @field_validator("client_id")
    @classmethod
    def _plain_id(cls, value: str) -> str:
        if not _UNRESERVED.fullmatch(value) or len(value) > 100:
            raise ValueError("use 1 to 100 of A-Z a-z 0-9 . _ ~ -")
        return value

    @field_validator("client_secret")
    @classmethod
    def _strong_secret(cls, value: SecretStr) -> SecretStr:
        # only unreserved characters: clients differ in whether they percent-encode a secret for HTTP Basic (RFC 6749 section 2.3.1)
        if not _UNRESERVED.fullmatch(value.get_secret_value()) or not 16 <= len(value.get_secret_value()) <= 200:
            raise ValueError("use 16 to 200 of A-Z a-z 0-9 . _ ~ -")
        return value


class TokenSettings(Group):
    """How long a token is good."""

    lifetime_seconds: int = 900


class ResourceSettings(Group):
    """What the jurisdiction decides about resources."""

    code_scheme: str = Field(default="national", description="how resource codes are made: national, provider, or one a package brings")
    notice_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="calendar days between the announcement of a change that breaks grants and its coming in force",
    )


class ReportSettings(Group):
    """What this node's reports go by."""

    idle_days: int = Field(default=180, ge=1, le=3650, description="days after which a system of which nothing comes or goes is named")


class DeskSettings(Group):
    """Who acts on the dashboard's pages without signing in."""

    loopback_acts: bool = Field(
        default=False, description="where DASHBOARD__LOOPBACK_OPEN: this machine's own user acts as the data authority"
    )


class Settings(ServiceSettings):
    """Without `signing` the node trusts another OIDC issuer and this service issues no tokens."""

    signing: SigningSettings | None = None
    bootstrap: BootstrapSettings | None = None
    token: TokenSettings = TokenSettings()
    resource: ResourceSettings = ResourceSettings()
    policy: PolicySettings = PolicySettings()
    report: ReportSettings = ReportSettings()
    desk: DeskSettings = DeskSettings()

    @property
    def public_url(self) -> str:
        """Return the address this service is known by."""
        return self.server.public_url or f"http://{self.server.host}:{self.server.port}"
