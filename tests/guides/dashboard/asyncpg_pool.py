"""Materialized views with asyncpg."""
import asyncio

import asyncpg


async def main():
    # Connection pool — reuse across your application's lifetime
    pool = await asyncpg.create_pool(
        "postgresql://postgres@localhost/myapp",
        min_size=5,
        max_size=20
    )

    # Query — returns list of Record objects with attribute access
    rows = await pool.fetch("""
        SELECT day, unique_users, revenue
        FROM mv_dashboard
        ORDER BY day DESC
        LIMIT 30
    """)
    for row in rows:
        print(f"{row['day']}: {row['unique_users']} users, ${row['revenue']}")

    # Refresh
    await pool.execute(
        "REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard"
    )

    await pool.close()


asyncio.run(main())
