"""Which node the client speaks to, and as whom: a profile kept in a file only its owner can read."""

import json
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dxmesh_client.errors import NotConfigured

_FILE = "client.json"  # as a local mesh writes it into its home


class Profile(BaseModel):
    """The addresses of a node's five services and the credential used with them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    catalog: str
    exchange: str
    quality: str
    open_data: str
    audit: str
    kafka: str = ""
    kafka_security_protocol: str = "PLAINTEXT"
    kafka_mechanism: str = ""
    kafka_username: str = ""
    kafka_password: str = ""
    client_id: str = ""
    client_secret: str = ""
    patience_seconds: float = Field(default=30, ge=0)  # how long a service that is away is waited for
    log_key: str = ""  # the audit log's key as first seen at login: receipts are verified against it, offline

    @field_validator("catalog", "exchange", "quality", "open_data", "audit")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/?#\[\]]+(:\d+)?[^\s?#]*|https?://\[[0-9a-fA-F:]+\](:\d+)?[^\s?#]*", value):
            raise ValueError(f"{value!r} is not an address like https://catalog.example")
        return value.rstrip("/")

    def as_client(self, client_id: str, client_secret: str) -> "Profile":
        """Return the same node with another credential."""
        return self.model_copy(update={"client_id": client_id, "client_secret": client_secret})

    def as_reader(self, told: Mapping[str, Any]) -> "Profile":
        """Return the same with a Kafka user, as exchange-svc answers when it is made."""
        own = {
            "kafka": told["bootstrap_servers"],
            "kafka_security_protocol": told["security_protocol"],
            "kafka_mechanism": told["sasl_mechanism"],
            "kafka_username": told["user_name"],
            "kafka_password": told["password"],
        }
        return self.model_copy(update=own)

    def kafka_options(self) -> dict[str, Any]:
        """Return how an aiokafka client connects."""
        options: dict[str, Any] = {"bootstrap_servers": self.kafka, "security_protocol": self.kafka_security_protocol}
        if self.kafka_username:
            options |= {
                "sasl_mechanism": self.kafka_mechanism,
                "sasl_plain_username": self.kafka_username,
                "sasl_plain_password": self.kafka_password,
            }
        if self.kafka_security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context()
        return options


def profile_path() -> Path:
    """Return where the profile is kept: DXMESH_PROFILE, else the user's configuration folder."""
    given = os.environ.get("DXMESH_PROFILE")
    return Path(given) if given else user_config_path("dxmesh") / "profile.json"


def load() -> Profile:
    """Return the profile: DXMESH_PROFILE, else the user's, else that of a local mesh: in DXMESH_HOME, here or above.

    Raises NotConfigured naming the command that makes one; also when DXMESH_PROFILE names no file: another profile is another's rights.
    """
    if os.environ.get("DXMESH_PROFILE") and not profile_path().is_file():
        raise NotConfigured(f"DXMESH_PROFILE names {profile_path()}, which is not there: run `dxmesh login --node FILE`, or name another")
    here = Path.cwd()
    home = os.environ.get("DXMESH_HOME")
    homes = [Path(home)] if home else [folder / ".dxmesh" for folder in (here, *here.parents)]
    for path in (profile_path(), *(folder / _FILE for folder in homes)):
        if path.is_file():
            return read(path)
    raise NotConfigured("no node is configured: run `make up` here, or `dxmesh login --node FILE`")


def read(path: Path) -> Profile:
    """Read a profile file. Raises NotConfigured when it is not one."""
    try:
        return Profile.model_validate_json(path.read_bytes())
    except OSError as wrong:
        raise NotConfigured(f"{path} cannot be read: {wrong.strerror}; run `dxmesh login --node FILE`") from wrong
    except ValidationError as wrong:
        faults = "; ".join(": ".join((*map(str, fault["loc"]), fault["msg"])) for fault in wrong.errors())
        raise NotConfigured(f"{path} is not a profile: {faults}; run `dxmesh login --node FILE`") from wrong


def save(profile: Profile) -> Path:
    """Keep the profile, readable by its owner only; return where."""
    path = profile_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(profile.model_dump(), file, indent=2)
    return path
