"""What each part is told: addresses, keys and secrets, made here or taken from the settings of whoever runs the mesh."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dxmesh_local.errors import LocalError
from dxmesh_local.home import MARK, Home, write_private
from dxmesh_local.kafka import SECURITY_PROTOCOL, SUPER_USER, SUPER_USER_MECHANISM, Kafka
from dxmesh_local.ports import Ports

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Service:
    """One of the five services."""

    name: str  # as people call it
    package: str  # as Python imports it; also the name of its database
    port_field: str
    signs: bool = False
    stores: bool = False


SERVICES = (
    Service("catalog-svc", "catalog_svc", "catalog", signs=True),
    Service("exchange-svc", "exchange_svc", "exchange", signs=True, stores=True),
    Service("quality-svc", "quality_svc", "quality", stores=True),
    Service("open-data-svc", "open_data_svc", "open_data", stores=True),
    Service("audit-svc", "audit_svc", "audit", signs=True),
)


@dataclass(frozen=True)
class Elsewhere:
    """The parts somebody runs for us, by the settings that name them."""

    databases: Mapping[str, str]  # package -> SQLAlchemy URL
    kafka: str | None
    object_store: str | None
    issuer: str | None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Elsewhere":
        """Read DATABASE__URL (with `{database}` in it), DATABASE__URL_<SERVICE>, KAFKA__BOOTSTRAP_SERVERS, OBJECT_STORE__URL, AUTH__ISSUER.

        Raises: LocalError for a DATABASE__URL that would put five services into one database.
        """
        template = environment.get("DATABASE__URL")
        if template and "{database}" not in template:
            raise LocalError(
                "DATABASE__URL names one database for five services: write {database} where its name goes"
                " (postgresql+asyncpg://user:password@host/{database}), or give one DATABASE__URL_<SERVICE> each"
            )
        databases = {}
        for service in SERVICES:
            own = environment.get(f"DATABASE__URL_{service.package.upper()}") or (
                template.replace("{database}", service.package) if template else None
            )
            if own:
                databases[service.package] = own
        return cls(
            databases,
            environment.get("KAFKA__BOOTSTRAP_SERVERS") or None,
            environment.get("OBJECT_STORE__URL") or None,
            environment.get("AUTH__ISSUER") or None,
        )

    @property
    def all_databases(self) -> bool:
        """Tell whether no database is left to us."""
        return all(service.package in self.databases for service in SERVICES)


def urls(ports: Ports) -> dict[str, str]:
    """Return the base URL of each service."""
    return {service.name: f"http://{HOST}:{getattr(ports, service.port_field)}" for service in SERVICES}


def host_and_port(url: str, usual: int) -> tuple[str, int]:
    """Return where a URL or a `host:port` list points first."""
    parts = urlsplit(url if "://" in url else f"//{url.split(',')[0]}")
    return parts.hostname or HOST, parts.port or usual


@dataclass(frozen=True)
class Identity:
    """Who this node is: made at the first start, kept for ever."""

    client_id: str  # of the node's first client: authority, operator and auditor
    client_secret: str
    log_origin: str  # the name of its transparency log


def make_identity(home: Home, ports: Ports) -> Identity:
    """Make the signing keys and the node's identity once, and tell the command line where the node is."""
    missing = [file for service in SERVICES if service.signs and not (file := key_file(home, service)).exists()]
    if missing:
        from dxmesh_runtime.signing import create_key

        for file in missing:
            create_key(file)
    kept = home.keys / "node.json"
    if not kept.exists():
        fresh = Identity("node-authority", secrets.token_urlsafe(32), f"local.dxmesh/{secrets.token_hex(8)}")
        write_private(kept, json.dumps(asdict(fresh)))
    identity = Identity(**json.loads(kept.read_text()))
    addresses = {service.port_field: url for service, url in zip(SERVICES, urls(ports).values(), strict=True)}
    kafka = os.environ.get("KAFKA__BOOTSTRAP_SERVERS") or f"{HOST}:{ports.kafka}"
    profile = {**addresses, "kafka": kafka, "client_id": identity.client_id, "client_secret": identity.client_secret}
    write_private(home.client_file, json.dumps(profile, indent=1))
    return identity


def key_file(home: Home, service: Service) -> Path:
    """Return the file of a service's Ed25519 key."""
    return home.keys / f"{service.name}.pem"


def own_kafka(home: Home, ports: Ports) -> dict[str, str]:
    """Return the fields of the services' Kafka settings for the broker of this home: they are its super user."""
    broker = Kafka(home.root / "kafka", ports.kafka, ports.kafka_controller, secured=True)
    return {
        "bootstrap_servers": broker.bootstrap_servers,
        "security_protocol": SECURITY_PROTOCOL,
        "sasl_mechanism": SUPER_USER_MECHANISM,
        "sasl_username": SUPER_USER,
        "sasl_password": broker.password,
    }


def child_environment(home: Home, base: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment with the mark of this home and without what is meant for the mesh as a whole."""
    # without its compiled form in the cache every import is compiled anew: 4.5 s of processor time for a service instead of 2
    dropped = ("DATABASE__URL", "DXMESH_PORT", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in base.items() if not name.startswith(dropped)}
    return {**kept, MARK: str(home.root)}


def environment(
    service: Service, home: Home, ports: Ports, *, database_url: str, elsewhere: Elsewhere, identity: Identity
) -> dict[str, str]:
    """Return the whole environment of a service."""
    own = urls(ports)
    told = {
        "DATABASE__URL": database_url,
        "AUTH__ISSUER": elsewhere.issuer or own["catalog-svc"],
        "SERVER__HOST": HOST,
        "SERVER__PORT": str(getattr(ports, service.port_field)),
        "SERVER__PUBLIC_URL": own[service.name],
        "DASHBOARD__LOOPBACK_OPEN": "true",
        "DASHBOARD__LINKS": json.dumps({name: f"{url}/dashboard" for name, url in own.items()}),
        "PYTHONUNBUFFERED": "1",
    }
    # a Kafka of somebody else's is reached by the caller's own KAFKA__ settings, which services inherit
    kafka = {"bootstrap_servers": elsewhere.kafka} if elsewhere.kafka else own_kafka(home, ports)
    told |= {f"KAFKA__{name.upper()}": value for name, value in kafka.items()}
    if service.signs:
        told["SIGNING__KEY_FILE"] = str(key_file(home, service))
    if service.stores:
        told["OBJECT_STORE__URL"] = elsewhere.object_store or (home.root / "objects").as_uri()
    if service.name == "exchange-svc":
        told["STAGING__FOLDER"] = str(home.root / "staging")
        told["SUBSCRIPTIONS__ALLOWED_NETWORKS"] = os.environ.get("SUBSCRIPTIONS__ALLOWED_NETWORKS") or json.dumps([f"{HOST}/32"])
    if service.name == "quality-svc":
        told["CHECKING__FOLDER"] = str(home.root / "checking")
    if service.name == "audit-svc":
        told["LOG__ORIGIN"] = os.environ.get("LOG__ORIGIN") or identity.log_origin
    if service.name == "catalog-svc":
        told |= {"BOOTSTRAP__CLIENT_ID": identity.client_id, "BOOTSTRAP__CLIENT_SECRET": identity.client_secret}
        if elsewhere.issuer:
            del told["SIGNING__KEY_FILE"]
    return {**child_environment(home, os.environ), **told}
