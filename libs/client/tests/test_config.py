"""As whom a client acts."""

from pathlib import Path

import pytest

from dxmesh_client import config
from dxmesh_client.errors import NotConfigured


def test_a_profile_that_is_named_and_not_there_is_no_reason_to_act_as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = ("catalog", "exchange", "quality", "open_data", "audit")
    other = config.Profile(**dict.fromkeys(services, "http://127.0.0.1:1"), client_id="node-authority")
    (tmp_path / "client.json").write_text(other.model_dump_json())
    monkeypatch.setenv("DXMESH_HOME", str(tmp_path))
    monkeypatch.setenv("DXMESH_PROFILE", str(tmp_path / "mine.json"))
    with pytest.raises(NotConfigured, match=r"names .*mine\.json, which is not there"):
        config.load()
    config.save(other.as_client("mine", "word"))
    assert config.load().client_id == "mine"
