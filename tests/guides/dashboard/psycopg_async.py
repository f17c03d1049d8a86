"""psycopg 3 on an event loop: one connection, and a pool."""
import asyncio

import psycopg
from psycopg_pool import AsyncConnectionPool

QUERY = "SELECT day, unique_users, revenue FROM mv_dashboard ORDER BY day DESC LIMIT 30"


async def main():
    conn = await psycopg.AsyncConnection.connect("dbname=myapp user=postgres", autocommit=True)
    async with conn:
        for row in await (await conn.execute(QUERY)).fetchall():
            print(f"{row[0]}: {row[1]} users, ${row[2]} revenue")
        await conn.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard")

    async with AsyncConnectionPool("dbname=myapp user=postgres", min_size=2, max_size=4, open=False) as pool:
        async def one_request(number):
            async with pool.connection() as conn:
                await conn.execute("INSERT INTO events (user_id, event_type, amount) VALUES (%s, 'purchase', 1)",
                                   (1000 + number,))
            # The transaction has been committed where the block ended; any connection sees it in the view.
            async with pool.connection() as conn:
                cur = await conn.execute("SELECT sum(events) FROM mv_dashboard")
                return (await cur.fetchone())[0]

        counts = await asyncio.gather(*(one_request(number) for number in range(10)))
        print("seen by the last:", max(counts))
        print("each saw its own:", sorted(counts)[0] > 3)
        async with pool.connection() as conn:
            await conn.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard")


asyncio.run(main())
