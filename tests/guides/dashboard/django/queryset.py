"""Querysets over the view, by threads that share the native connection pool."""
import os
from concurrent.futures import ThreadPoolExecutor

import django
from django.db import connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django.setup()

from django.db.models import Max, Sum  # noqa: E402
from django.utils.timezone import now  # noqa: E402
from myapp.models import DashboardMetrics, Events  # noqa: E402

# Standard queryset — filters, ordering, slicing, aggregation all work
recent = DashboardMetrics.objects.filter(
    day__gte='2026-01-01'
).order_by('-day')[:30]
for metrics in recent:
    print(metrics, metrics.revenue)
print(DashboardMetrics.objects.aggregate(Sum("events"), Max("revenue")))


def one_request(number):
    """What a request does, ended as Django ends one: the connection goes back to the pool."""
    Events.objects.create(user_id=1000 + number, event_type="purchase", amount=1, created_at=now())
    connection.close()
    seen = DashboardMetrics.objects.aggregate(Sum("events"))["events__sum"]
    DashboardMetrics.refresh()
    connection.close()
    return seen


with ThreadPoolExecutor(16) as threads:
    seen = list(threads.map(one_request, range(100)))
print("seen by the last:", max(seen))
print("connections:", len(connection.pool._pool))
connection.close_pool()
