"""What is done to webhooks: their secret replaced."""

from datetime import datetime

from exchange_svc.secrets import seal, unseal
from exchange_svc.subscription import domain as subscriptions
from exchange_svc.subscription.errors import SubscriptionInvalid
from exchange_svc.subscription.store import Subscription
from exchange_svc.webhook.domain import Secrets

_WEBHOOK = "webhook"


def rotate(row: Subscription, key: bytes, *, now: datetime) -> Secrets:
    """Give a locked subscription a new secret; the former one signs beside it for a day, so no message goes unproven.

    Raises: SubscriptionState (409) when it is ended, SubscriptionInvalid (422) when it is no webhook.
    """
    subscriptions.check_open(subscriptions.State(row.state))
    if row.mode != _WEBHOOK:
        raise SubscriptionInvalid(f"a subscription of mode {row.mode} has no secret to replace; end it and make another")
    owner = subscriptions.owner_of(row.subscription_id)
    secrets = Secrets.model_validate_json(unseal(key, owner, row.sealed)).rotated(now)
    row.sealed, row.changed_at = seal(key, owner, secrets.model_dump_json().encode()), now
    return secrets
