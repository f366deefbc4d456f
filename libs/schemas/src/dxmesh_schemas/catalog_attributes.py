"""What a resource's entry says beside its items: its form, how it is shared, how it is graded, where it lies."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class ResourceKind(StrEnum):
    """Rows of data, or a camera's pictures, of which only the entry is kept here."""

    DATA = "data"
    VIDEO = "video"


class FormatClass(StrEnum):
    """信息资源格式分类, in the guide's order: 1 电子文件, 2 电子表格, 3 数据库, 4 图形图像, 5 流媒体, 6 自描述格式, 7 服务接口."""

    ELECTRONIC_FILE = "ELECTRONIC_FILE"
    SPREADSHEET = "SPREADSHEET"
    DATABASE = "DATABASE"
    GRAPHIC = "GRAPHIC"
    STREAM = "STREAM"
    SELF_DESCRIBING = "SELF_DESCRIBING"
    SERVICE = "SERVICE"


class SharingMode(StrEnum):
    """共享方式类型: 数据库, 文件, 接口."""

    DATABASE = "DATABASE"
    FILE = "FILE"
    API = "API"


class SharingChannel(StrEnum):
    """共享方式分类: 共享平台 (the rule), 邮件, 拷盘, 介质交换."""

    PLATFORM = "PLATFORM"
    MAIL = "MAIL"
    DISK = "DISK"
    MEDIA = "MEDIA"


class UsePurpose(StrEnum):
    """共享条件's uses: 行政依据, 工作参考, 数据校核, 业务协同."""

    ADMINISTRATIVE_BASIS = "ADMINISTRATIVE_BASIS"
    WORK_REFERENCE = "WORK_REFERENCE"
    DATA_CHECKING = "DATA_CHECKING"
    COLLABORATION = "COLLABORATION"


class Sensitivity(StrEnum):
    """What an item gives away: nothing, personal information, sensitive personal information (PIPL Art. 28), a trade secret."""

    NONE = "NONE"
    PERSONAL = "PERSONAL"
    SENSITIVE_PERSONAL = "SENSITIVE_PERSONAL"
    TRADE_SECRET = "TRADE_SECRET"


FORMAT_TYPES: dict[FormatClass, tuple[str, ...]] = {
    FormatClass.ELECTRONIC_FILE: ("ofd", "wps", "xml", "txt", "doc", "docx", "html", "pdf", "ppt", "pptx", "json"),
    FormatClass.SPREADSHEET: ("et", "xls", "xlsx", "csv"),
    FormatClass.DATABASE: (
        "Access",
        "dbf",
        "dbase",
        "Sybase",
        "Oracle",
        "SQL Server",
        "DB2",
        "MySQL",
        "PostgreSQL",
        "DM",
        "Kingbase",
        "openGauss",
        "GBase",
        "OceanBase",
        "TiDB",
    ),
    FormatClass.GRAPHIC: ("jpg", "gif", "bmp", "png", "tif", "shp", "dwg"),
    FormatClass.STREAM: ("swf", "rm", "mpg", "mp4", "H.264", "H.265", "RTSP", "GB/T 28181"),
    FormatClass.SELF_DESCRIBING: (),
    FormatClass.SERVICE: ("REST", "SOAP", "WebService", "HTTP", "Kafka"),
}
"""信息资源格式类型 (编制指南 发改高技〔2017〕1272号, with the databases and media in use since); any class also takes `other` with a note.

A self-describing format (6) names its own type and says in the note what it is.
"""

FITTING_MODES: dict[FormatClass, tuple[SharingMode, ...]] = {
    FormatClass.ELECTRONIC_FILE: (SharingMode.FILE,),
    FormatClass.SPREADSHEET: (SharingMode.FILE,),
    FormatClass.DATABASE: (SharingMode.DATABASE, SharingMode.API),
    FormatClass.GRAPHIC: (SharingMode.FILE,),
    FormatClass.STREAM: (SharingMode.FILE, SharingMode.API),
    FormatClass.SELF_DESCRIBING: (SharingMode.FILE,),
    FormatClass.SERVICE: (SharingMode.API,),
}
"""Which 共享方式类型 a format admits: files are shared as files, a database as tables or by an interface."""


class BasisKind(StrEnum):
    """What may forbid sharing (GDSR Art. 14): nothing below a State Council decision."""

    LAW = "law"
    ADMINISTRATIVE_REGULATION = "administrative_regulation"
    STATE_COUNCIL_DECISION = "state_council_decision"


class Part(BaseModel):
    """A part of an entry: frozen, and tolerant of fields a newer emitter adds."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NonSharingBasis(Part):
    """不予共享依据: the provision that forbids sharing, of one of exactly three kinds."""

    kind: BasisKind
    title: str
    article: str


class Census(Part):
    """The six numbers of the census of information resources (信息资源大普查): gigabytes, and rows in ten thousands; 0 when unknown."""

    total_gb: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    total_rows_10k: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    shared_gb: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    shared_rows_10k: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    open_gb: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    open_rows_10k: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0


class Video(Part):
    """A camera: its code in the video platform and where it stands, in degrees of CGCS2000 within the country's bounds."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,64}$")]
    longitude: Annotated[float, Field(ge=73, le=136, allow_inf_nan=False)]
    latitude: Annotated[float, Field(ge=3, le=54, allow_inf_nan=False)]
