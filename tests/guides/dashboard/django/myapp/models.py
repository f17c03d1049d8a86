"""The table of events, and the materialized view over it as a model."""
from django.db import connection, models


class Events(models.Model):
    user_id = models.IntegerField()
    event_type = models.CharField(max_length=20)
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    created_at = models.DateTimeField()


class DashboardMetrics(models.Model):
    day = models.DateField(primary_key=True)
    events = models.IntegerField()
    unique_users = models.IntegerField()
    revenue = models.DecimalField(max_digits=13, decimal_places=2)

    class Meta:
        managed = False
        db_table = 'mv_dashboard'
        ordering = ['-day']

    def __str__(self):
        return f"{self.day}: {self.unique_users} users"

    @classmethod
    def refresh(cls, concurrently=True):
        keyword = "CONCURRENTLY" if concurrently else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"REFRESH MATERIALIZED VIEW {keyword} {cls._meta.db_table}"
            )
