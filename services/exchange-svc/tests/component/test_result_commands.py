"""The command line of results, against a service that listens."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from dxmesh_client.errors import ClientError
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import utc_now, uuid7


def _key_whose_id_begins_with(sign: str, file: Path) -> str:
    """Write a key whose thumbprint begins so, as one in 64 does, and return the thumbprint."""
    while not (key := OKPKey.generate_key("Ed25519")).thumbprint().startswith(sign):
        pass
    file.write_bytes(key.as_pem(private=True))
    file.chmod(0o600)
    return key.thumbprint()


async def test_a_key_whose_id_begins_with_a_dash_is_ended_like_any(exchange: Any, cli: Any, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    kid = _key_whose_id_begins_with("-", key)
    issuer = str(exchange.provider.organization_id)
    assert (await cli("provider", "result", "register-key", "--key", str(key), "--organization", issuer))["kid"] == kid
    ended = await cli("provider", "result", "end-key", kid, "--why", "更换密钥")
    assert (ended["kid"], ended["ended_at"] is None) == (kid, False)


async def test_a_result_is_issued_recognised_proven_and_taken_back_from_the_command_line(exchange: Any, cli: Any, tmp_path: Path) -> None:
    key, proof, node_keys = (tmp_path / name for name in ("key.pem", "proof.json", "jwks.json"))
    issuer = str(exchange.provider.organization_id)
    made = await cli("provider", "result", "keygen", str(key))
    registered = await cli("provider", "result", "register-key", "--key", str(key), "--organization", issuer)
    assert registered["kid"] == made["kid"]
    said = {
        "result_id": str(uuid7()),
        "issuer": issuer,
        "kind": "双随机抽查",
        "subject_scheme": "uscc",
        "subject": "11330600002577014T",
        "outcome": "未发现问题",
        "basis": "优化营商环境条例第五十四条",
        "division_code": "330602",
        "issued_on": day_of(utc_now()).isoformat(),
    }
    (tmp_path / "said.json").write_text(json.dumps(said), encoding="utf-8")
    shared = ("--share-with", str(exchange.requester.organization_id))
    await cli("provider", "result", "issue", str(tmp_path / "said.json"), "--key", str(key), *shared)
    assert await cli("stranger", "result", "list") == []
    [listed] = await cli("requester", "result", "list", "--kind", "双随机抽查")
    assert (listed["result_id"], listed["issuer"]) == (said["result_id"], exchange.provider.name)
    with pytest.raises(ClientError, match="why"):
        await cli("requester", "result", "recognise", said["result_id"], "--purpose", "免予重复检查", "--decline")
    [recognised] = await cli("requester", "result", "recognise", said["result_id"], "--purpose", "免予重复检查")
    assert (recognised["accepted"], recognised["purpose"]) == (True, "免予重复检查")
    await cli("requester", "result", "proof", said["result_id"], str(proof))
    node_keys.write_bytes((await exchange.client.get("/.well-known/jwks.json")).content)
    verified = await cli("requester", "result", "verify", str(proof), "--node-keys", str(node_keys))
    assert (verified["verified"], verified["key_id"]) == (True, made["kid"])
    assert (await cli("provider", "result", "revoke", said["result_id"], "--why", "复查发现问题"))["revoked_at"] is not None
    assert (await cli("provider", "result", "end-key", made["kid"], "--why", "更换密钥"))["kid"] == made["kid"]
