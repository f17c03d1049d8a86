"""Background refresh with asyncpg."""
import asyncio
import logging

import asyncpg

logger = logging.getLogger(__name__)


async def refresh_loop(pool: asyncpg.Pool, interval: int = 900):
    """Refresh the dashboard materialized view every 15 minutes."""
    while True:
        try:
            await pool.execute(
                "REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard"
            )
            logger.info("Dashboard MV refreshed successfully")
        except Exception as e:
            logger.error(f"Dashboard MV refresh failed: {e}")
        await asyncio.sleep(interval)
