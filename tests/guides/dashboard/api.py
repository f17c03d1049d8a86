"""A FastAPI application with asyncpg and materialized views."""
import asyncio
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Request
from refresh_loop import refresh_loop


@asynccontextmanager
async def lifespan(app: FastAPI):
    # Startup: create pool and start refresh task
    app.state.pool = await asyncpg.create_pool(
        "postgresql://postgres@localhost/myapp",
        min_size=5, max_size=20
    )
    refresh_task = asyncio.create_task(
        refresh_loop(app.state.pool, interval=900)
    )
    yield
    # Shutdown: cancel refresh and close pool
    refresh_task.cancel()
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.get("/api/dashboard")
async def get_dashboard(request: Request):
    pool = request.app.state.pool
    rows = await pool.fetch("""
        SELECT day, unique_users, revenue
        FROM mv_dashboard
        ORDER BY day DESC
        LIMIT 30
    """)
    return [dict(row) for row in rows]
