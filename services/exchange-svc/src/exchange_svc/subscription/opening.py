"""What each way of delivery asks for and keeps: looked at and tried before there is a subscription."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.secrets import seal
from exchange_svc.subscription.domain import owner_of
from exchange_svc.subscription.settings import SubscriptionsSettings
from exchange_svc.subscription.store import Subscription
from exchange_svc.webhook.domain import Secrets, new_secret
from exchange_svc.webhook.endpoint import Endpoint

Start = Annotated[
    Literal["beginning", "now"], Field(description="with what is on the view's topic already, or only with what comes from now on")
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WebhookIn(_In):
    """Rows are posted to this address, as signed CloudEvents batches."""

    mode: Literal["webhook"]
    url: Annotated[str, Field(min_length=1, max_length=2000)]
    start: Start = "beginning"


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

    async def try_again(self, row: Subscription) -> None:
        """Try the destination of a subscription that is to go on. Raises as opening it does (422)."""
        await self.endpoint.prove(row.settings["url"])

    def sealed(self, subscription_id: UUID, secret: BaseModel) -> bytes:
        """Return what is kept of a subscription's secrets."""
        return seal(self.key, owner_of(subscription_id), secret.model_dump_json().encode())
