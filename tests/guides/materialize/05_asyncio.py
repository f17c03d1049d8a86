"""A load generator and a view over it, read with asyncpg."""
import asyncio
import os
import time

import asyncpg


async def main():
    conn = await asyncpg.connect(host=os.environ["HOST"], port=int(os.environ["PORT"]), user=os.environ["USER"],
                                 password=os.environ["PASSWORD"], database="materialize", ssl="require")
    await conn.execute("CREATE SOURCE ticks FROM LOAD GENERATOR COUNTER (TICK INTERVAL '100ms')")
    await conn.execute("CREATE MATERIALIZED VIEW highest AS SELECT max(counter) AS highest FROM ticks")
    first = await conn.fetchval("SELECT coalesce(max(highest), 0) FROM highest")
    deadline = time.monotonic() + 15
    while await conn.fetchval("SELECT coalesce(max(highest), 0) FROM highest") <= first + 3:
        assert time.monotonic() < deadline, "the source does not tick"
        await asyncio.sleep(0.05)
    print("it counts")
    await conn.execute("DROP SOURCE ticks CASCADE")
    await conn.close()


asyncio.run(main())
