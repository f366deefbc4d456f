"""What a push says of its file beside the file: how it applies, and how it is read."""

from pydantic import BaseModel, Field

from dxmesh_schemas.exchange import BatchKind


class PushQuery(BaseModel):
    """How a pushed file applies and is read."""

    kind: BatchKind = BatchKind.APPEND
    version: int | None = Field(
        default=None, ge=1, description="of the resource, that the file is made by; refused when it is not in force, not asked when absent"
    )
    delimiter: str | None = Field(default=None, min_length=1, max_length=1, description="of CSV; found out when absent")
    encoding: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9._:-]{1,40}$", description="of text; UTF-8, UTF-16 and GB 18030 are found out"
    )
    sheet: str | None = Field(default=None, max_length=31, description="of XLSX; the first when absent")
