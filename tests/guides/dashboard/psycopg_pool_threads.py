"""psycopg 3's pool under threads, as in a synchronous web application."""
from concurrent.futures import ThreadPoolExecutor

from psycopg_pool import ConnectionPool

with ConnectionPool("dbname=myapp user=postgres", min_size=2, max_size=4) as pool:
    def one_request(number):
        with pool.connection() as conn:
            conn.execute("INSERT INTO events (user_id, event_type, amount) VALUES (%s, 'purchase', 1)",
                         (2000 + number,))
        with pool.connection() as conn:
            return conn.execute("SELECT sum(events) FROM mv_dashboard").fetchone()[0]

    with ThreadPoolExecutor(4) as threads:
        counts = list(threads.map(one_request, range(20)))
    print("seen by the last:", max(counts))
    with pool.connection() as conn:
        conn.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard")
