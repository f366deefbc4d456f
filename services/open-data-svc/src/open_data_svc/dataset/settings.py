"""The settings of what the public sees, and of how long it stays."""

from pydantic import Field

from dxmesh_runtime.settings import Group


class PortalSettings(Group):
    """What the public portal calls itself, and the licence its data is under."""

    title: str = "公共数据开放平台"
    title_en: str = "Open Data Portal"
    licence_id: str = "cc-by"
    licence_title: str = "知识共享 署名 4.0 国际许可协议"
    licence_title_en: str = "Creative Commons Attribution 4.0 International"
    licence_url: str = "https://creativecommons.org/licenses/by/4.0/"


class DatasetSettings(Group):
    """How long versions are kept."""

    keep_versions: int = Field(default=50, ge=1, description="newest versions of a dataset whose files are kept")
