"""A form's items as they stand in files."""

from pathlib import Path
from typing import Any

import pytest

from dxmesh_client.errors import ClientError
from dxmesh_client.form_file import items_of


def written(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("form.txt", "姓名\n\n 身份证号 \n", [{"name": "姓名"}, {"name": "身份证号"}]),
        ("form.TXT", "\ufeff姓名\r\n", [{"name": "姓名"}]),
        ("form.txt", "姓名\n".encode("gb18030"), [{"name": "姓名"}]),
        (
            "form.csv",
            "序号,信息项名称,数据类型,数据长度\n1,姓名,字符型C,50\n,,,\n2,出生日期,d,\n",
            [{"name": "姓名", "data_type": "C", "length": 50}, {"name": "出生日期", "data_type": "D"}],
        ),
        ("form.csv", "name,code_set\n性别,gb-t-2261.1\n", [{"name": "性别", "code_set": "gb-t-2261.1"}]),
        ("form.json", '["姓名", {"name": "性别", "format": "x"}]', [{"name": "姓名"}, {"name": "性别", "format": "x"}]),
        ("form.json", '{"items": ["姓名"]}', [{"name": "姓名"}]),
    ],
)
def test_items_are_read_from_lines_tables_and_documents(tmp_path: Path, name: str, content: Any, expected: Any) -> None:
    assert items_of(written(tmp_path, name, content)) == expected


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("form.xlsx", b"PK", "not known by its ending"),
        ("form.txt", b"\xff\xff\xff", "UTF-8 or GB 18030"),
        ("form.txt", "\n \n", "holds no item"),
        ("form.csv", "", "holds no item"),
        ("form.csv", "项目\n姓名\n", "no column 信息项名称 or name"),
        ("form.csv", "name,length\n,5\n", "row 2: the name is empty"),
        ("form.csv", "name,length\n姓名,五\n", "row 2: '五' is no whole number"),
        ("form.csv", "name,data_type\n姓名,文本\n", "row 2: '文本' is no data type"),
        ("form.json", "{", "not a JSON document"),
        ("form.json", '{"name": "x"}', "no list of items"),
        ("form.json", "[]", "holds no item"),
    ],
)
def test_a_file_that_is_no_form_is_refused_with_what_to_do(tmp_path: Path, name: str, content: Any, what: str) -> None:
    with pytest.raises(ClientError, match=what):
        items_of(written(tmp_path, name, content))
