"""Freshet from Python: following views as they change, and looking at how they are kept.

freshet.sqlalchemy has views for SQLAlchemy, freshet.alembic their migrations, freshet.starlette server-sent events,
freshet.testing a pytest plugin.
"""

from ._api import ViewStatus, asubscribe, explain, fresh, subscribe, verify, views
from ._channel import NotFreshet
from ._records import Batch, Change, KeyViolation, Row, Update, Upsert
from ._subscription import AsyncSubscription, Subscription, SubscriptionError

__all__ = [
    "AsyncSubscription",
    "Batch",
    "Change",
    "KeyViolation",
    "NotFreshet",
    "Row",
    "Subscription",
    "SubscriptionError",
    "Update",
    "Upsert",
    "ViewStatus",
    "asubscribe",
    "explain",
    "fresh",
    "subscribe",
    "verify",
    "views",
]
