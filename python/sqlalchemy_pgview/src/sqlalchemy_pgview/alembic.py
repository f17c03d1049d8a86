"""Importing this registers the operations, as `import freshet.alembic` does."""

from freshet.alembic import *  # noqa: F403
from freshet.alembic import __all__ as __all__
