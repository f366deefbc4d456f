import pytest

from catalog_svc.organization.domain import check_division_code, check_uscc


@pytest.mark.parametrize("code", ["11330600MB1573660P", "91110000600037341L", "91350100M000100Y43"])
def test_published_codes_keep_both_check_characters(code: str) -> None:
    assert check_uscc(code) == code


@pytest.mark.parametrize("place", range(18))
def test_one_changed_character_is_noticed(place: int) -> None:
    code = "11330600MB1573660P"
    for other in "0123456789ABCDEFGHJKLMNPQRTUWXY":
        if other != code[place]:
            with pytest.raises(ValueError, match="GB"):
                check_uscc(code[:place] + other + code[place + 1 :])


@pytest.mark.parametrize(
    "code",
    [
        "",
        "11330600MB1573660",
        "11330600MB1573660PP",
        "11330600mb1573660p",
        "１1330600MB1573660P",
        "11330600MB157366OP",
        "11330600MB1573660P\n",
    ],
)
def test_another_shape_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="is not 18 of"):
        check_uscc(code)


@pytest.mark.parametrize("code", ["33", "3306", "330602", "330602001", "330602001001"])
def test_division_codes_have_2_4_6_9_or_12_digits(code: str) -> None:
    assert check_division_code(code) == code


@pytest.mark.parametrize("code", ["", "3", "330", "33060", "3306020", "33０6", "33a6", "330602\n", "３３"])
def test_other_division_codes_are_refused(code: str) -> None:
    with pytest.raises(ValueError, match="half-width digits"):
        check_division_code(code)
