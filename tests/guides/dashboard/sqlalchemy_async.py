"""The same model with SQLAlchemy's asynchronous engine."""
import asyncio

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy_model import DashboardMetrics


async def main():
    engine = create_async_engine("postgresql+asyncpg://postgres@localhost/myapp")
    async with AsyncSession(engine) as session:
        recent = await session.scalars(
            select(DashboardMetrics)
            .order_by(DashboardMetrics.day.desc())
            .limit(30)
        )
        for row in recent:
            print(f"{row.day}: {row.unique_users} users, ${row.revenue}")
    async with engine.begin() as conn:
        await conn.execute(text("REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard"))
    await engine.dispose()


asyncio.run(main())
