"""The project of the chapter's Django sections."""
from .celery import app as celery_app

__all__ = ["celery_app"]
