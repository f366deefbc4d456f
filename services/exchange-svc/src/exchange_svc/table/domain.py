"""What a table's folder says, and what helps a damaged table."""

from uuid import UUID


def times_rebuilt(table_key: str) -> int:
    """Return how often the table in a folder was rebuilt: each time it gets a folder with the next number."""
    _, _, number = table_key.partition(".")
    return int(number or 0)


def resource_of(table_key: str) -> UUID:
    """Return the resource whose table is in a folder."""
    return UUID(table_key.rsplit("/", 1)[-1].partition(".")[0])


def remedy(table_key: str) -> str:
    """Say what helps a damaged table."""
    command = f"python -m exchange_svc rebuild-table {resource_of(table_key)}"
    return f"if the object store itself is well, rebuild it from the accepted batches: {command}"
