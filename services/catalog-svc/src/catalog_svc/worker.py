"""What is wired for Kafka: the relay alone."""

from catalog_svc.settings import Settings
from dxmesh_runtime.worker import run_worker


async def run(settings: Settings) -> None:
    """Publish the catalogue's events until cancelled."""
    await run_worker(settings, name="catalog-svc", tasks=lambda _: ())
