"""The portal's words in Chinese and English, and which of the two a visitor reads."""

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Literal

Language = Literal["zh", "en"]

_WORDS: Mapping[str, tuple[str, str]] = {
    "lang": ("zh-CN", "en"),
    "skip": ("跳到正文", "Skip to content"),
    "other_language": ("English", "中文"),
    "home": ("数据目录", "Datasets"),
    "api": ("开发接口", "API"),
    "nav": ("主导航", "Main"),
    "slogan": (
        "政府部门依法向社会无条件开放的公共数据，免费下载，可编程访问。",
        "Public-sector data opened to everyone, free to download and to query.",
    ),
    "search": ("搜索", "Search"),
    "search_label": ("搜索数据集、数据项、部门", "Search datasets, items, publishers"),
    "datasets": ("数据集", "Datasets"),
    "apis": ("API 接口", "APIs"),
    "items": ("数据项", "Items"),
    "rows": ("开放数据（条）", "Rows"),
    "downloads": ("下载次数", "Downloads"),
    "publisher": ("发布部门", "Publisher"),
    "theme": ("主题领域", "Theme"),
    "all": ("全部", "All"),
    "no_theme": ("未分类", "Unclassified"),
    "order": ("排序", "Order"),
    "newest": ("最近更新", "Recently updated"),
    "rows_order": ("数据量", "Most rows"),
    "title_order": ("名称", "Title"),
    "found": ("共 {} 个数据集", "{} datasets"),
    "nothing": ("没有符合条件的数据集", "No dataset matches"),
    "nothing_hint": ("换一个关键词，或清除筛选条件。", "Try another word, or clear the filters."),
    "nothing_yet": ("尚无开放的数据集", "No dataset is open yet"),
    "nothing_yet_hint": (
        "部门发布无条件开放的资源并提交数据后，将自动出现在这里。",
        "Datasets appear here by themselves once a department opens a resource and sends data.",
    ),
    "clear": ("清除筛选", "Clear filters"),
    "row_count": ("{} 条", "{} rows"),
    "item_count": ("{} 项", "{} items"),
    "updated": ("更新于", "Updated"),
    "previous": ("上一页", "Previous"),
    "next": ("下一页", "Next"),
    "page_of": ("第 {} 页，共 {} 页", "Page {} of {}"),
    "pages": ("分页", "Pages"),
    "facets": ("筛选", "Filters"),
    "download": ("下载", "Download"),
    "download_hint": ("文件与网页内容同一版本；SHA-256 可用于核验。", "All files hold the same version; check them with the SHA-256."),
    "file": ("文件", "File"),
    "size": ("大小", "Size"),
    "about": ("基本信息", "About"),
    "update_cycle": ("更新周期", "Update cycle"),
    "last_update": ("最近更新", "Last update"),
    "first_published": ("首次开放", "First published"),
    "licence": ("许可协议", "Licence"),
    "identifier": ("标识", "Identifier"),
    "open_type": ("开放类型", "Access"),
    "unconditional": ("无条件开放", "Open without conditions"),
    "item_table": ("数据项说明", "Items"),
    "item_name": ("名称", "Name"),
    "item_code": ("字段", "Column"),
    "item_type": ("类型", "Type"),
    "item_note": ("说明", "Description"),
    "preview": ("数据预览", "Preview"),
    "preview_caption": ("前 {} 条，共 {} 条", "First {} of {} rows"),
    "empty_table": ("此版本没有数据。", "This version has no rows."),
    "use_api": ("通过 API 使用", "Use the API"),
    "use_api_hint": ("兼容 CKAN Action API，无需注册与密钥。", "Speaks the CKAN Action API; no registration, no key."),
    "api_rows": ("分页读取数据", "Read rows, page by page"),
    "api_meta": ("读取元数据", "Read the description"),
    "api_python": ("在 Python 中读取", "Read in Python"),
    "versions": ("历史版本", "Versions"),
    "version": ("版本", "Version"),
    "published": ("发布时间", "Published"),
    "kept_no_longer": ("已不再保留", "kept no longer"),
    "withheld": ("含不再开放的数据项", "withheld: shows items open no longer"),
    "current": ("当前版本", "current"),
    "breadcrumb": ("位置", "You are here"),
    "not_found": ("没有找到这个数据集", "There is no such dataset"),
    "not_found_hint": ("请检查地址，或在数据目录中搜索。", "Check the address, or search the list."),
    "retired": ("该数据集已停止开放", "This dataset is open no longer"),
    "back": ("返回数据目录", "Back to the list"),
    "powered": ("由 dxmesh 政务数据交换网格提供", "Powered by dxmesh"),
    "statistics": ("平台统计 JSON", "Statistics JSON"),
    "operators": ("运行管理", "Operations"),
    "time_zone": ("时间为北京时间", "Times are UTC+8"),
}
_CYCLES: Mapping[str, tuple[str, str]] = {
    "REALTIME": ("实时", "Real time"),
    "DAILY": ("每日", "Daily"),
    "WEEKLY": ("每周", "Weekly"),
    "MONTHLY": ("每月", "Monthly"),
    "QUARTERLY": ("每季度", "Quarterly"),
    "HALF_YEARLY": ("每半年", "Half-yearly"),
    "YEARLY": ("每年", "Yearly"),
    "IRREGULAR": ("不定期", "Irregular"),
    "STATIC": ("静态", "Static"),
}
WORDS: Mapping[Language, SimpleNamespace] = {
    "zh": SimpleNamespace(**{name: pair[0] for name, pair in _WORDS.items()}),
    "en": SimpleNamespace(**{name: pair[1] for name, pair in _WORDS.items()}),
}
CYCLES: Mapping[Language, Mapping[str, str]] = {
    "zh": {name: pair[0] for name, pair in _CYCLES.items()},
    "en": {name: pair[1] for name, pair in _CYCLES.items()},
}


def language(chosen: str | None, accepted: str | None) -> Language:
    """Return what a visitor reads: the language chosen in the address, else the one their browser prefers, else Chinese."""
    if chosen is not None:
        return "en" if chosen.lower().startswith("en") else "zh"
    best: tuple[float, Language] = (0.0, "zh")
    for part in (accepted or "").split(","):
        found = re.fullmatch(r"\s*(zh|en)(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=(0(?:\.\d+)?|1(?:\.0+)?))?\s*", part, re.IGNORECASE)
        if found is not None and (weight := float(found.group(2) or 1)) > best[0]:
            best = (weight, "en" if found.group(1).lower() == "en" else "zh")
    return best[1]
