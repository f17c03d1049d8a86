"""A daily view, and a weekly one over it."""
from django.db import models
from django_pgviews import view as pg


class Events(models.Model):
    user_id = models.IntegerField()
    event_type = models.CharField(max_length=20)
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    created_at = models.DateTimeField()


class DashboardMetrics(pg.MaterializedView):
    concurrent_index = 'day'
    sql = """
        SELECT
            date_trunc('day', created_at)::date AS day,
            COUNT(*)::integer AS events,
            COUNT(DISTINCT user_id)::integer AS unique_users,
            SUM(CASE WHEN event_type = 'purchase'
                THEN amount ELSE 0 END)::numeric(13,2) AS revenue
        FROM myapp_events
        WHERE created_at >= CURRENT_DATE - INTERVAL '90 days'
        GROUP BY 1
    """

    day = models.DateField(primary_key=True)
    events = models.IntegerField()
    unique_users = models.IntegerField()
    revenue = models.DecimalField(max_digits=13, decimal_places=2)

    class Meta:
        managed = False
        db_table = 'mv_dashboard'
        indexes = [
            models.Index(fields=['-day'], name='idx_mv_dashboard_day_desc'),
        ]


class WeeklyMetrics(pg.MaterializedView):
    concurrent_index = 'week'
    dependencies = ['myapp.DashboardMetrics']
    sql = """
        SELECT date_trunc('week', day)::date AS week, SUM(events)::integer AS events, SUM(revenue) AS revenue
        FROM mv_dashboard
        GROUP BY 1
    """

    week = models.DateField(primary_key=True)
    events = models.IntegerField()
    revenue = models.DecimalField(max_digits=13, decimal_places=2)

    class Meta:
        managed = False
        db_table = 'mv_weekly'


class Purchases(pg.View):
    sql = "SELECT id, user_id, amount FROM myapp_events WHERE event_type = 'purchase'"

    user_id = models.IntegerField()
    amount = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        managed = False
        db_table = 'purchases'
