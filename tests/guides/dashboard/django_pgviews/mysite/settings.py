"""Settings with django-pgviews-redux."""
import os

SECRET_KEY = "not a secret: this project runs in tests only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django_pgviews",
    "myapp",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "myapp",
        "USER": "postgres",
        "HOST": "localhost",
        "PORT": os.environ.get("PGPORT", "5432"),
    }
}
