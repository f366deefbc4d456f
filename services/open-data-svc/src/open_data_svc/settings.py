"""The settings of open-data-svc."""

from dxmesh_runtime.settings import ObjectStoreSettings, ServiceSettings
from open_data_svc.dataset.settings import DatasetSettings, PortalSettings


class Settings(ServiceSettings):
    """Everything open-data-svc is configured by."""

    object_store: ObjectStoreSettings
    portal: PortalSettings = PortalSettings()
    dataset: DatasetSettings = DatasetSettings()
