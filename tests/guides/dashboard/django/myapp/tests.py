"""Testing materialized views: as the chapter does, and without any refresh."""
from unittest import skipUnless

from django.db import connection
from django.test import TestCase, TransactionTestCase

ROWS = """
    INSERT INTO myapp_events
        (user_id, event_type, amount, created_at)
    VALUES
        (1, 'purchase', 49.99, NOW()),
        (2, 'purchase', 29.99, NOW()),
        (1, 'pageview', 0, NOW())
"""


@skipUnless(
    connection.vendor == 'postgresql',
    'Materialized views require PostgreSQL'
)
class DashboardMetricsTest(TransactionTestCase):
    """
    TransactionTestCase required — materialized views need
    real committed transactions, not the savepoint rollbacks
    that TestCase uses.
    """

    def setUp(self):
        # Insert test data into source tables
        with connection.cursor() as cursor:
            cursor.execute(ROWS)

        # Refresh the materialized view
        with connection.cursor() as cursor:
            cursor.execute("REFRESH MATERIALIZED VIEW mv_dashboard")

    def test_dashboard_returns_aggregated_data(self):
        from myapp.models import DashboardMetrics
        metrics = DashboardMetrics.objects.first()
        self.assertEqual(metrics.unique_users, 2)
        self.assertEqual(metrics.events, 3)
        self.assertAlmostEqual(float(metrics.revenue), 79.98, places=2)


class FreshTest(TransactionTestCase):
    """The same without the REFRESH; the tables are emptied between tests, and the view with them."""

    def setUp(self):
        from myapp.models import DashboardMetrics
        self.assertEqual(DashboardMetrics.objects.count(), 0)
        with connection.cursor() as cursor:
            cursor.execute(ROWS)

    def test_read_after_write(self):
        from myapp.models import DashboardMetrics, Events
        metrics = DashboardMetrics.objects.get()
        self.assertEqual((metrics.unique_users, metrics.events), (2, 3))
        Events.objects.filter(user_id=2).delete()
        self.assertEqual(DashboardMetrics.objects.get().unique_users, 1)
        Events.objects.update(amount=1)
        self.assertEqual(DashboardMetrics.objects.get().revenue, 1)
        DashboardMetrics.refresh()
        DashboardMetrics.refresh(concurrently=False)
        self.assertEqual(DashboardMetrics.objects.get().revenue, 1)

    def test_rest_framework(self):
        from django.utils.timezone import now
        today = now().date().isoformat()
        expected = [{"day": today, "events": 3, "unique_users": 2, "revenue": "79.98"}]
        self.assertEqual(self.client.get("/dashboard/").json(), expected)
        self.assertEqual(self.client.get(f"/dashboard/?day={today}").json(), expected)
        self.assertEqual(self.client.get("/dashboard/?day=2001-01-01").json(), [])
        self.assertEqual(self.client.get(f"/dashboard/{today}/").json(), expected[0])
        self.assertEqual(self.client.post("/dashboard/", {}).status_code, 405)


class InOneTransactionTest(TestCase):
    """
    Within a transaction that is never committed a view shows what is committed, until REFRESH:
    then it shows that transaction's own rows, as in PostgreSQL.
    """

    def test_refresh_shows_the_transactions_own_rows(self):
        from myapp.models import DashboardMetrics
        with connection.cursor() as cursor:
            cursor.execute(ROWS)
        self.assertEqual(DashboardMetrics.objects.count(), 0)
        DashboardMetrics.refresh()
        self.assertEqual(DashboardMetrics.objects.get().events, 3)
