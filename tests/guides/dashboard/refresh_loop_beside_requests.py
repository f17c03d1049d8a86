"""The refresh loop, hurried, while the application reads and writes through the same pool."""
import asyncio
import logging

import asyncpg
from refresh_loop import refresh_loop

logging.basicConfig(format="%(message)s", level=logging.INFO)


async def main():
    pool = await asyncpg.create_pool("postgresql://postgres@localhost/myapp", min_size=5, max_size=20)
    refreshing = asyncio.create_task(refresh_loop(pool, interval=0.02))
    before = await pool.fetchval("SELECT sum(events) FROM mv_dashboard")

    async def one_request(number):
        await pool.execute("INSERT INTO events (user_id, event_type, amount) VALUES ($1, 'pageview', 0)", number)
        return await pool.fetchval("SELECT sum(events) FROM mv_dashboard")

    for number in range(50):
        seen = await one_request(number)
        assert seen == before + number + 1, (seen, before, number)
    refreshing.cancel()
    await pool.close()
    print("each request saw what it wrote")


asyncio.run(main())
