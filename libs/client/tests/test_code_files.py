"""Published files of codes: each layout becomes the columns catalog-svc takes in, and what is none is refused."""

import gzip
import lzma
from pathlib import Path

import pytest

from dxmesh_client.code_files import as_csv, rows_of
from dxmesh_client.errors import ClientError


def written(folder: Path, text: str, name: str = "codes.csv") -> Path:
    path = folder / name
    content = text.encode()
    path.write_bytes({".xz": lzma.compress, ".gz": gzip.compress}.get(path.suffix, bytes)(content))
    return path


@pytest.mark.parametrize("name", ["codes.csv", "codes.csv.xz", "codes.csv.gz"])
def test_codes_are_read_from_plain_and_compressed_files(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, '\ufeffcode,name,cityCode\n330602,"越城区",3306\n330603,"柯桥区",3306\n110101,"东城区",1101\n', name)
    assert list(rows_of(path, prefix="33")) == [{"code": "330602", "label": "越城区"}, {"code": "330603", "label": "柯桥区"}]


def test_a_parent_given_by_the_id_of_its_row_becomes_its_code_whatever_is_left_out(tmp_path: Path) -> None:
    text = '"id","parent_id","code","name","former_name ","revoked"\n4200,,330600,"绍兴市",,0\n7598,4200,330621,"绍兴县",,1\n'
    found = list(rows_of(written(tmp_path, text), prefix="330621"))
    assert found == [{"code": "330621", "label": "绍兴县", "parent": "330600", "is_retired": "1"}]


def test_the_chinese_name_goes_before_the_english_one_and_our_own_columns_before_all(tmp_path: Path) -> None:
    assert list(rows_of(written(tmp_path, "code_2,name,name_cn\nCN,China,中国\n"))) == [{"code": "CN", "label": "中国"}]
    assert list(rows_of(written(tmp_path, "代码,名称,label\n1,甲,乙\n"))) == [{"code": "1", "label": "乙"}]


def test_rows_are_written_in_the_services_columns_and_quoted(tmp_path: Path) -> None:
    lines = as_csv(rows_of(written(tmp_path, 'code,label,note\n1,"甲,乙","""丙"""\n'))).decode().splitlines()
    assert lines == ["code,label,parent,valid_from,valid_until,is_retired,successors,source,note", '1,"甲,乙",,,,,,,"""丙"""']


@pytest.mark.parametrize("text", ["", "label\n甲\n", "省,市\n1,2\n"])
def test_a_file_without_codes_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ClientError, match="no column of codes"):
        list(rows_of(written(tmp_path, text)))


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "代码\n1\n".encode("gb18030")), ("a.csv.xz", b"not xz"), ("a.csv.gz", b"not gzip")]
)
def test_a_file_in_another_encoding_or_a_damaged_one_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ClientError, match=name):
        list(rows_of(path))
