"""Materialized views with psycopg2, and with psycopg 3 by the same calls: drivers.py DRIVER STEP..."""
import importlib
import sys

driver = importlib.import_module(sys.argv[1])
conn = driver.connect("dbname=myapp user=postgres")
conn.autocommit = True  # Required for DDL operations


def create():
    """Run once, in a migration or set-up script."""
    with conn.cursor() as cur:
        cur.execute("""
            CREATE MATERIALIZED VIEW IF NOT EXISTS mv_dashboard AS
            SELECT
                date_trunc('day', created_at)::date AS day,
                COUNT(*) AS events,
                COUNT(DISTINCT user_id) AS unique_users,
                SUM(CASE WHEN event_type = 'purchase'
                    THEN amount ELSE 0 END)::numeric(13,2) AS revenue
            FROM events
            WHERE created_at >= CURRENT_DATE - INTERVAL '90 days'
            GROUP BY 1
            WITH DATA
        """)
        cur.execute("""
            CREATE UNIQUE INDEX IF NOT EXISTS idx_mv_dashboard_day
                ON mv_dashboard (day)
        """)


def refresh():
    with conn.cursor() as cur:
        cur.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard")


def query():
    """Identical to querying any table."""
    with conn.cursor() as cur:
        cur.execute("""
            SELECT day, unique_users, revenue
            FROM mv_dashboard
            ORDER BY day DESC
            LIMIT 30
        """)
        rows = cur.fetchall()
    for row in rows:
        print(f"{row[0]}: {row[1]} users, ${row[2]} revenue")


for step in sys.argv[2:]:
    {"create": create, "refresh": refresh, "query": query}[step]()
