"""A dataset as CKAN describes it: a package with its resources."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from open_data_svc.dataset.domain import Format, distribution_id
from open_data_svc.dataset.settings import PortalSettings
from open_data_svc.dataset.store import Dataset, DatasetFile

_MEDIA = {form.value: form.media_type.partition(";")[0] for form in Format}


def ckan_time(moment: datetime) -> str:
    """Return a time as CKAN writes it: UTC, without an offset."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def organization(dataset: Dataset) -> dict[str, Any]:
    """Return the publisher as CKAN's organization; its name is the unified social credit code."""
    return {
        "id": str(dataset.publisher_id),
        "name": dataset.publisher_code.lower(),
        "title": dataset.publisher,
        "type": "organization",
        "state": "active",
        "is_organization": True,
        "approval_status": "approved",
        "description": "",
        "image_url": "",
        "created": ckan_time(dataset.first_published_at),
    }


def package(dataset: Dataset, files: Sequence[DatasetFile], portal: PortalSettings, site: str) -> dict[str, Any]:
    """Return a dataset as a package; `site` is the portal's address without a slash at its end."""
    resources = [_resource(dataset, file, position, site) for position, file in enumerate(files)]
    tags = [{"name": dataset.theme, "display_name": dataset.theme, "state": "active", "vocabulary_id": None}] if dataset.theme else []
    extras = {
        "update_cycle": dataset.update_cycle,
        "row_count": str(dataset.row_count),
        "item_count": str(dataset.item_count),
        "version": str(dataset.version),
    }
    return {
        "id": str(dataset.dataset_id),
        "name": dataset.name,
        "title": dataset.title,
        "notes": dataset.summary,
        "url": f"{site}/datasets/{dataset.name}",
        "version": str(dataset.version),
        "type": "dataset",
        "state": "active",
        "private": False,
        "isopen": True,
        "author": dataset.publisher,
        "author_email": None,
        "maintainer": None,
        "maintainer_email": None,
        "license_id": portal.licence_id,
        "license_title": portal.licence_title_en,
        "license_url": portal.licence_url,
        "metadata_created": ckan_time(dataset.first_published_at),
        "metadata_modified": ckan_time(dataset.refreshed_at),
        "organization": organization(dataset),
        "owner_org": str(dataset.publisher_id),
        "resources": resources,
        "num_resources": len(resources),
        "tags": tags,
        "num_tags": len(tags),
        "groups": [],
        "extras": [{"key": key, "value": value} for key, value in extras.items()],
        "relationships_as_subject": [],
        "relationships_as_object": [],
    }


def _resource(dataset: Dataset, file: DatasetFile, position: int, site: str) -> dict[str, Any]:
    identity: UUID = distribution_id(dataset.dataset_id, file.format)
    return {
        "id": str(identity),
        "package_id": str(dataset.dataset_id),
        "name": f"{dataset.title} ({file.format.upper()})",
        "description": f"v{file.version}, {dataset.row_count} rows",
        "format": "Parquet" if file.format == Format.PARQUET else file.format.upper(),
        "mimetype": _MEDIA[file.format],
        "url": f"{site}/datasets/{dataset.name}/latest/{dataset.name}.{file.format}",
        "url_type": None,
        "resource_type": "file",
        "size": file.byte_count,
        "hash": file.sha256,
        "position": position,
        "state": "active",
        "datastore_active": True,
        "created": ckan_time(dataset.first_published_at),
        "last_modified": ckan_time(dataset.refreshed_at),
        "metadata_modified": ckan_time(dataset.refreshed_at),
        "cache_url": None,
        "cache_last_updated": None,
        "mimetype_inner": None,
    }
