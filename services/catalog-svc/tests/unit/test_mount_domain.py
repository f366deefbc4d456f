import pytest

from catalog_svc.mount import domain
from catalog_svc.mount.domain import MountKind, MountState
from dxmesh_clocks.cycles import ALLOWED
from dxmesh_schemas.catalog import UpdateCycle


@pytest.mark.parametrize(
    "address",
    [
        "http://10.1.2.3:8080/api/households",
        "https://192.168.7.9/",
        "https://mz.zj.gov.cn/share/v2/marriage?region=330600&page=1",
        "http://gateway-internal:8000",
        "http://[fd00::7]:8080/a",
        "https://xn--fiqs8s.example./a%20b",
        "http://10.1.2.3/a?passport=1&signed_on=2026",
    ],
)
def test_the_address_of_an_interface_may_be_private(address: str) -> None:
    assert domain.address_fault(address) is None


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("10.1.2.3:8080/api", "http"),
        ("ftp://10.1.2.3/a", "http"),
        ("jdbc:mysql://10.1.2.3/a", "http"),
        ("javascript:alert(1)", "http"),
        ("file:///etc/passwd", "http"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://:8080/", "names no host"),
        ("http://-a.example/", "names no host"),
        ("http://a..b/", "names no host"),
        ("http://300.1.2.3/", "names no host"),
        ("http://10.1.2/", "names no host"),
        ("http://0.0.0.0/", "names no host"),
        ("http://[::1/", "no address"),
        ("http://[zz]/", "no address"),
        ("http://10.1.2.3:99999/", "no address"),
        ("http://10.1.2.3:http/", "no address"),
        ("http://10.1.2.3:0/", "port 0"),
        ("http://user:word@10.1.2.3/", "user name"),
        ("http://user@10.1.2.3/", "user name"),
        ("http://@10.1.2.3/", "user name"),
        ("http://10.1.2.3/?access_token=abc", "access_token"),
        ("http://10.1.2.3/?page=1&password=x", "password"),
        ("http://10.1.2.3/?AppKey=x", "AppKey"),
        ("http://10.1.2.3/?app%5Fsecret=x", "app_secret"),
        ("http://10.1.2.3/?sign=x", "sign"),
        ("http://10.1.2.3/?token", "token"),
        ("http://10.1.2.3/#part", "fragment"),
        ("http://10.1.2.3/a b", "ASCII"),
        ("http://10.1.2.3\\@evil.example/", "ASCII"),
        ("http://10.1.2.3/\n", "ASCII"),
        ("http://10.1.2.3/\u200b", "ASCII"),
        ("http://民政.example/", "punycode"),
        ("http://１０.1.2.3/", "ASCII"),
        ("http://10.1.2.3/" + "a" * 2000, "2000"),
        ("http://" + "a" * 64 + ".example/", "names no host"),
    ],
)
def test_an_address_of_a_wrong_shape_or_with_a_credential_is_refused(address: str, said: str) -> None:
    assert said in (domain.address_fault(address) or "")


def test_a_proxy_has_an_address_and_a_replica_has_none() -> None:
    assert list(domain.faults(MountKind.REPLICA, None)) == []
    assert [pointer for pointer, _ in domain.faults(MountKind.REPLICA, "http://a/")] == ["/address"]
    assert [pointer for pointer, _ in domain.faults(MountKind.PROXY, None)] == ["/address"]
    assert list(domain.faults(MountKind.PROXY, "http://a/")) == []


@pytest.mark.parametrize("has_batch", [False, True])
@pytest.mark.parametrize("is_confirmed", [False, True])
def test_each_kind_is_shown_by_evidence_of_its_own(has_batch: bool, is_confirmed: bool) -> None:
    def state(kind: MountKind | None) -> MountState:
        return domain.state(kind, has_batch=has_batch, is_confirmed=is_confirmed)

    assert state(None) is MountState.UNMOUNTED
    assert state(MountKind.REPLICA) is (MountState.SUPPLIED if has_batch else MountState.DECLARED)
    assert state(MountKind.PROXY) is (MountState.SUPPLIED if is_confirmed else MountState.DECLARED)


def test_every_cycle_has_an_allowance_but_those_without_a_rhythm() -> None:
    assert set(UpdateCycle) - set(ALLOWED) == {UpdateCycle.IRREGULAR, UpdateCycle.STATIC}
