"""The setting groups every service shares; a service subclasses ServiceSettings and adds its own groups."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Group(BaseModel):
    """A nested group: `DATABASE__URL` in the environment is `settings.database.url`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Group):
    """PostgreSQL: one database per service."""

    url: str
    pool_size: int = Field(default=10, ge=2, description="connections at most; they are opened as they are needed, and kept")


class KafkaSettings(Group):
    """Apache Kafka, and what topics are created with."""

    bootstrap_servers: str
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    partitions: int = Field(default=3, ge=1)
    replication_factor: int = Field(default=1, ge=1)


class AuthSettings(Group):
    """The OIDC issuer whose tokens are accepted."""

    issuer: str
    audience: str = "dxmesh"
    jwks_url: str | None = None
    jwks: str | None = Field(default=None, description="the key set itself, as JSON, where the issuer cannot be reached")

    @property
    def keys_url(self) -> str:
        """Return where the issuer publishes its keys."""
        return self.jwks_url or self.issuer.rstrip("/") + "/.well-known/jwks.json"


class ServerSettings(Group):
    """Where the service listens, and the address it is known by."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = ""
    json_max_bytes: int = Field(
        default=2 << 20,  # an entry of the catalogue at its largest, with every character of it escaped
        ge=1024,
        description="of one JSON body; files and batches have limits of their own",
    )


class TelemetrySettings(Group):
    """Logs and traces; metrics are always at /metrics."""

    otlp_endpoint: str | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"


class DashboardSettings(Group):
    """Who may see the operator pages without signing in, and where the others are."""

    loopback_open: bool = False
    links: dict[str, str] = Field(default_factory=dict)


class ObjectStoreSettings(Group):
    """The store of batches and tables: `file:///…` or `s3://…`."""

    url: str


class SigningSettings(Group):
    """The service's Ed25519 key (PEM, PKCS8)."""

    key_file: Path


class ServiceSettings(BaseSettings):
    """What every service is configured by; built once in `__main__` and passed down."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True, extra="ignore")

    database: DatabaseSettings
    kafka: KafkaSettings
    auth: AuthSettings
    server: ServerSettings = ServerSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    dashboard: DashboardSettings = DashboardSettings()
