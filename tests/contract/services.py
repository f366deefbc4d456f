"""The five services as the contract tests see them: their apps, built without a database or a broker."""

import atexit
import importlib
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from dxmesh_runtime.settings import ServiceSettings
from dxmesh_runtime.signing import create_key

PACKAGES = ("catalog_svc", "exchange_svc", "quality_svc", "open_data_svc", "audit_svc")


@cache
def settings(package: str) -> ServiceSettings:
    """Return settings that let the app be built; nothing is connected to."""
    folder = Path(tempfile.mkdtemp(prefix="dxmesh-contract-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    key = folder / "key.pem"
    create_key(key)
    kind = importlib.import_module(f"{package}.settings").Settings
    given: dict[str, Any] = {
        "database": {"url": "postgresql+asyncpg://nobody@localhost/none"},
        "kafka": {"bootstrap_servers": "localhost:9092"},
        "auth": {"issuer": "https://issuer.example"},
        "signing": {"key_file": key},
        "object_store": {"url": folder.as_uri()},
        "bootstrap": {"client_id": "authority", "client_secret": "not-used-here-at-all"},
        "staging": {"folder": folder},
        "log": {"origin": "dxmesh.example/log"},
    }
    known = {name: value for name, value in given.items() if name in kind.model_fields}
    found: ServiceSettings = kind(**known)
    return found


@cache
def app(package: str) -> FastAPI:
    """Return the service's app."""
    found: FastAPI = importlib.import_module(f"{package}.app").create_app(settings(package))
    return found


def openapi(package: str) -> dict[str, Any]:
    """Return the service's OpenAPI document."""
    return app(package).openapi()
