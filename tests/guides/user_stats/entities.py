"""The views as entities that alembic_utils compares with the database."""
import os

from alembic_utils.pg_materialized_view import PGMaterializedView
from alembic_utils.pg_view import PGView

active_users = PGView("public", "active_users", "SELECT id, name FROM users WHERE is_active")
user_stats = PGMaterializedView("public", "user_stats", f"""
    SELECT u.id AS user_id, u.name, count(o.id) AS order_count, {os.environ["TOTAL"]} AS total_spent
    FROM users u LEFT JOIN orders o ON u.id = o.user_id
    GROUP BY u.id, u.name
""")
ENTITIES = [active_users, user_stats]
