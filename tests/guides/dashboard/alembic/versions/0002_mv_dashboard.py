"""create mv_dashboard materialized view"""
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("""
        CREATE MATERIALIZED VIEW IF NOT EXISTS mv_dashboard AS
        SELECT
            date_trunc('day', created_at)::date AS day,
            COUNT(*)::integer AS events,
            COUNT(DISTINCT user_id)::integer AS unique_users,
            SUM(CASE WHEN event_type = 'purchase'
                THEN amount ELSE 0 END)::numeric(13,2) AS revenue
        FROM events
        WHERE created_at >= CURRENT_DATE - INTERVAL '90 days'
        GROUP BY 1
        WITH DATA
    """)
    op.execute("""
        CREATE UNIQUE INDEX IF NOT EXISTS idx_mv_dashboard_day
            ON mv_dashboard (day)
    """)


def downgrade():
    op.execute("DROP MATERIALIZED VIEW IF EXISTS mv_dashboard")
