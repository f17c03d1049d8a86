"""Settings: Django 5.1's native connection pool, REST framework, Celery's schedule."""
import os

SECRET_KEY = "not a secret: this project runs in tests only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "mysite.urls"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
INSTALLED_APPS = [
    "rest_framework",
    "django_filters",
    "myapp",
]

DATABASES = {
    'default': {
        'ENGINE': 'django.db.backends.postgresql',
        'NAME': 'myapp',
        'USER': 'postgres',
        'PASSWORD': 'secret',
        'HOST': 'localhost',
        'PORT': os.environ.get('PGPORT', '5432'),
        'CONN_MAX_AGE': 0,  # Required — must not be None (persistent)
        'OPTIONS': {
            'pool': {
                'min_size': 2,
                'max_size': 10,
                'timeout': 10,
            }
        },
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

CELERY_BROKER_URL = os.environ.get("BROKER", "redis://localhost:6379/0")
CELERY_BEAT_SCHEDULE = {
    'refresh-dashboard-mv': {
        'task': 'myapp.tasks.refresh_dashboard',
        'schedule': float(os.environ.get("REFRESH_SECONDS", 900.0)),  # every 15 minutes
    },
}
