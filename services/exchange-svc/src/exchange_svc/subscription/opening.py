"""What each way of delivery asks for and keeps: looked at and tried before there is a subscription."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.grant import domain as grants
from exchange_svc.grant.store import View
from exchange_svc.secrets import seal, unseal
from exchange_svc.sink import database
from exchange_svc.sink import domain as sinks
from exchange_svc.subscription.domain import owner_of
from exchange_svc.subscription.settings import SubscriptionsSettings
from exchange_svc.subscription.store import Subscription
from exchange_svc.webhook.domain import Secrets, new_secret
from exchange_svc.webhook.endpoint import Endpoint

Start = Annotated[
    Literal["beginning", "now"], Field(description="with what is on the view's topic already, or only with what comes from now on")
]

_IDENTIFIER = r"^[^\x00\"]{1,63}$"


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WebhookIn(_In):
    """Rows are posted to this address, as signed CloudEvents batches."""

    mode: Literal["webhook"]
    url: Annotated[str, Field(min_length=1, max_length=2000)]
    start: Start = "beginning"


class TableIn(_In):
    """Rows are kept in a table of the requester's PostgreSQL: replaced and deleted by key, each batch in one transaction."""

    mode: Literal["table"]
    url: Annotated[SecretStr, Field(min_length=1, max_length=2000, description="postgresql://user:password@host:5432/database?sslmode=…")]
    schema_name: Annotated[str, Field(alias="schema", pattern=_IDENTIFIER)] = "public"
    table: Annotated[str, Field(pattern=_IDENTIFIER)]
    create: bool = Field(default=False, description="make the table when it is not there")
    start: Start = "beginning"


class FileIn(_In):
    """Packages are made of what the grant reads, when asked for or each so many hours, and fetched by a link."""

    mode: Literal["file"]
    form: Literal["parquet", "csv"] = "parquet"
    every_hours: Annotated[int, Field(ge=1, le=8784)] | None = None
    term_hours: Annotated[int, Field(ge=1, le=8784, description="how long a package can be fetched")] = 72
    downloads: Annotated[int, Field(ge=1, le=1000, description="how often a package can be fetched")] = 5


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination that was tried. settings: what may be seen of it; sealed: what may not; secret: shown once."""

    mode: Mode
    settings: Mapping[str, Any]
    sealed: bytes
    told: str
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """How destinations are tried and their secrets sealed. key: of the seal; origin: the node, as it names itself."""

    settings: SubscriptionsSettings
    key: bytes
    origin: str

    @property
    def endpoint(self) -> Endpoint:
        """Return how webhooks are met."""
        return Endpoint(self.settings.allowed_networks, self.settings.answer_seconds, self.origin)

    async def webhook(self, subscription_id: UUID, asked: WebhookIn) -> Destination:
        """Try a webhook and give it a secret. Raises as `Endpoint.prove` does (422)."""
        await self.endpoint.prove(asked.url)
        secrets = Secrets(secret=new_secret())
        return Destination(Mode.WEBHOOK, {"url": asked.url}, self.sealed(subscription_id, secrets), asked.url, secrets.secret)

    async def table(self, subscription_id: UUID, asked: TableIn, view: View, resource: ResourceSnapshot) -> Destination:
        """Enter the database, and make or look at the table.

        Raises: SubscriptionInvalid, DestinationUnknown, DestinationRefused, DatabaseAway, TableUnfit (422).
        """
        target = sinks.target(asked.url.get_secret_value(), asked.schema_name, asked.table)
        await self._try_table(target, view, resource, may_create=asked.create)
        settings = {
            "host": target.host,
            "port": target.port,
            "database": target.database,
            "user": target.user,
            "sslmode": target.tls,
            "schema": target.schema_name,
            "table": target.table,
            "create": asked.create,
        }
        told = f"postgresql://{target.host}:{target.port}/{target.database} {sinks.full(target)}"
        return Destination(Mode.TABLE, settings, self.sealed(subscription_id, target), told)

    def file(self, asked: FileIn) -> Destination:
        """Return how packages are made."""
        settings = asked.model_dump(include={"form", "every_hours", "term_hours", "downloads"})
        return Destination(Mode.FILE, settings, b"", f"packages ({asked.form})")

    async def _try_table(self, target: sinks.Target, view: View, resource: ResourceSnapshot, *, may_create: bool) -> None:
        told = grants.snapshot(view.open_view, resource)
        shape = database.Shape(tuple(sinks.columns_of(told.items, resource)), told.key) if told is not None else database.Shape((), ())
        try:
            async with database.connected(target, self.settings.allowed_networks, self.settings.answer_seconds) as connection:
                await database.prepare(connection, target, shape, may_create=may_create)
        except (*database.AWAY, asyncpg.PostgresError, UnicodeError) as away:
            raise database.away(away) from away

    async def try_again(self, row: Subscription, view: View, resource: ResourceSnapshot) -> None:
        """Try the destination of a subscription that is to go on. Raises as opening it does (422)."""
        if row.mode == Mode.WEBHOOK:
            await self.endpoint.prove(row.settings["url"])
        if row.mode == Mode.TABLE:
            target = sinks.Target.model_validate_json(unseal(self.key, owner_of(row.subscription_id), row.sealed))
            await self._try_table(target, view, resource, may_create=bool(row.settings["create"]))

    def sealed(self, subscription_id: UUID, secret: BaseModel) -> bytes:
        """Return what is kept of a subscription's secrets."""
        return seal(self.key, owner_of(subscription_id), secret.model_dump_json().encode())
