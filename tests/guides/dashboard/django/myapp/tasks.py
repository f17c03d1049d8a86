"""The refresh as a Celery task."""
import logging

from celery import shared_task
from django.db import connection

logger = logging.getLogger(__name__)


@shared_task(bind=True, max_retries=3, default_retry_delay=60)
def refresh_dashboard(self):
    """Refresh the dashboard materialized view with retry logic."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard"
            )
        logger.info("Dashboard MV refreshed successfully")
    except Exception as exc:
        logger.error(f"Dashboard MV refresh failed: {exc}")
        self.retry(exc=exc)
