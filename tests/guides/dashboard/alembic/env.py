"""Alembic's environment, which leaves models that are views out of autogeneration."""
from alembic import context
from sqlalchemy import engine_from_config
from sqlalchemy_model import Base

import sqlalchemy_events  # noqa: F401  the table the view reads


def include_object(obj, name, type_, reflected, compare_to):
    return not (type_ == "table" and obj.info.get("is_view"))


engine = engine_from_config(context.config.get_section(context.config.config_ini_section))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, include_object=include_object)
    with context.begin_transaction():
        context.run_migrations()
