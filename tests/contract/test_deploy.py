"""What is deployed names every topic and setting the code knows, and nothing the code does not know."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel

from dxmesh_runtime.settings import ServiceSettings
from dxmesh_schemas.events import topics
from exchange_svc.delivery.clients import STATE_TOPIC
from tests.contract.generate import ROOT
from tests.contract.services import PACKAGES, settings

CHART = ROOT / "deploy" / "helm" / "dxmesh"
COMPOSE = ROOT / "deploy" / "docker" / "compose.yaml"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SECRET = {"DATABASE__URL", "BOOTSTRAP__CLIENT_ID", "BOOTSTRAP__CLIENT_SECRET"}
KUBERNETES = "1.37"
RENDER = ["template", "dxmesh", str(CHART), "--kube-version", KUBERNETES]


def names(kind: type[BaseModel], prefix: str = "") -> set[str]:
    """Return every environment variable a settings class reads."""
    found: set[str] = set()
    for name, field in kind.model_fields.items():
        kinds = [item for item in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(item, type)]
        group = next((item for item in kinds if issubclass(item, BaseModel)), None)
        full = prefix + name.upper()
        found |= names(group, full + "__") if group else {full}
    return found


def _service(package: str) -> str:
    return package.replace("_", "-")


def _required(package: str) -> set[str]:
    found = set()
    for name, field in type(settings(package)).model_fields.items():
        if field.is_required():
            group = field.annotation
            assert isinstance(group, type)
            assert issubclass(group, BaseModel)
            found |= {f"{name}__{inner}".upper() for inner, part in group.model_fields.items() if part.is_required()}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_the_chart_gives_each_service_what_it_needs_and_nothing_it_does_not_know(package: str) -> None:
    service = VALUES["services"][_service(package)]
    known = names(type(settings(package)))
    given = set(service["settings"])
    assert given <= known, f"unknown to {package}: {given - known}"
    signing = {"SIGNING__KEY_FILE"} if service.get("signingSecret") else set()
    missing = _required(package) - given - set(VALUES["settings"]) - SECRET - signing
    assert not missing, f"{package} needs {missing}"


def test_the_common_settings_of_the_chart_are_known_to_some_service() -> None:
    known = set().union(*(names(type(settings(package))) for package in PACKAGES))
    assert set(VALUES["settings"]) <= known


@pytest.mark.parametrize("package", PACKAGES)
def test_compose_gives_each_service_what_it_needs(package: str) -> None:
    document = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    given = set(document["services"][_service(package)]["environment"])
    known = names(type(settings(package)))
    ignored = {name for name in given if name.startswith("AWS_")} | {"OBJECT_STORE__URL"}
    assert given - ignored <= known, f"unknown to {package}: {given - ignored - known}"
    assert _required(package) <= given, f"{package} needs {_required(package) - given}"
    assert f"python -m {package} migrate" in document["services"][_service(package)]["command"][2]


def test_the_chart_names_every_topic() -> None:
    assert VALUES["topics"]["names"] == topics()
    assert VALUES["topics"]["compacted"] == [STATE_TOPIC]


def test_every_setting_stands_in_the_example_environment() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    told = set(re.findall(r"^#? ?([A-Z_]+__[A-Z_]+)=", text, re.MULTILINE))
    known = names(ServiceSettings).union(*(names(type(settings(package))) for package in PACKAGES))
    assert told == known, f"missing: {sorted(known - told)}; unknown: {sorted(told - known)}"


def _helm() -> str | None:
    return shutil.which("helm") or next((str(p) for p in (Path.home() / "go" / "bin" / "helm",) if p.exists()), None)


@pytest.mark.skipif(_helm() is None, reason="helm is not installed: `go install helm.sh/helm/v3/cmd/helm@v3.22.0`")
@pytest.mark.parametrize(
    "options", [[], ["--set", "ingress.enabled=true"], ["--set", "topics.strimzi.enabled=true"]], ids=["plain", "ingress", "strimzi"]
)
def test_the_rendered_chart_is_valid(options: list[str]) -> None:
    helm = _helm()
    assert helm is not None
    environment = {**os.environ, "HELM_CACHE_HOME": "/tmp/helm", "HELM_CONFIG_HOME": "/tmp/helm", "HELM_DATA_HOME": "/tmp/helm"}
    subprocess.run([helm, "lint", "--strict", CHART], check=True, capture_output=True, env=environment)
    done = subprocess.run(
        [helm, *RENDER, *options],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    kinds = [document["kind"] for document in documents]
    assert kinds.count("Deployment") == len(PACKAGES)
    for document in documents:
        if document["kind"] == "KafkaTopic":
            continue
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    if "topics.strimzi.enabled=true" in options:
        assert sorted(d["spec"]["topicName"] for d in documents if d["kind"] == "KafkaTopic") == sorted([*topics(), STATE_TOPIC])


@pytest.mark.skipif(_helm() is None, reason="helm is not installed: `go install helm.sh/helm/v3/cmd/helm@v3.22.0`")
def test_the_chart_refuses_a_service_without_a_secret() -> None:
    helm = _helm()
    assert helm is not None
    done = subprocess.run(
        [helm, *RENDER, "--set", "services.audit-svc.secret="],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "secret" in done.stderr


@pytest.mark.skipif(_helm() is None, reason="helm is not installed: `go install helm.sh/helm/v3/cmd/helm@v3.22.0`")
def test_replicas_that_take_uploads_share_a_folder() -> None:
    helm = _helm()
    assert helm is not None
    two = [helm, *RENDER, "--set", "services.exchange-svc.replicas=2"]
    done = subprocess.run(two, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "services.exchange-svc.claim" in done.stderr
    done = subprocess.run([*two, "--set", "services.exchange-svc.claim=staging"], capture_output=True, text=True, check=True)
    found = {document["metadata"]["name"]: document for document in yaml.safe_load_all(done.stdout) if document["kind"] == "Deployment"}
    scratch = {name: one["spec"]["template"]["spec"]["volumes"][0] for name, one in found.items()}
    assert scratch["dxmesh-exchange-svc"]["persistentVolumeClaim"] == {"claimName": "staging"}
    assert all("emptyDir" in one for name, one in scratch.items() if name != "dxmesh-exchange-svc")


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml"])
def test_an_image_holds_only_hashed_packages_and_no_root(name: str) -> None:
    text = (ROOT / "deploy" / "docker" / name).read_text(encoding="utf-8")
    if name == "Dockerfile":
        assert "--require-hashes" in text
        assert re.search(r"^USER 10001$", text, re.MULTILINE)
        for folder in re.findall(r"(?:libs|services)/[a-z-]+", text):
            assert (ROOT / folder / "pyproject.toml").exists(), folder
    else:
        document = yaml.safe_load(text)
        assert {_service(package) for package in PACKAGES} <= set(document["services"])
        for published in [port for service in document["services"].values() for port in service.get("ports", [])]:
            assert published.startswith("127.0.0.1:"), f"{published} is open to the network"
