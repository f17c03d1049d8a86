"""PostgreSQL's views and materialized views for SQLAlchemy 2."""

from .catalog import (
    ViewDependency,
    ViewInfo,
    get_all_views,
    get_dependency_order,
    get_reverse_dependencies,
    get_view,
    get_view_definition,
    get_view_dependencies,
    reflect_view,
)
from .ddl import CreateMaterializedView, CreateView, DropMaterializedView, DropView, RefreshMaterializedView
from .declarative import MaterializedViewBase, ViewBase
from .view import MaterializedView, View, include_object

__all__ = [
    "CreateMaterializedView",
    "CreateView",
    "DropMaterializedView",
    "DropView",
    "MaterializedView",
    "MaterializedViewBase",
    "RefreshMaterializedView",
    "View",
    "ViewBase",
    "ViewDependency",
    "ViewInfo",
    "get_all_views",
    "get_dependency_order",
    "get_reverse_dependencies",
    "get_view",
    "get_view_definition",
    "get_view_dependencies",
    "include_object",
    "reflect_view",
]
