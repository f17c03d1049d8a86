"""SQLAlchemy-PGView's names, from the package freshet."""

from freshet.sqlalchemy import *  # noqa: F403
from freshet.sqlalchemy import __all__ as __all__
