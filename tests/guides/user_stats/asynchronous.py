"""The same views with SQLAlchemy's asynchronous engine over asyncpg."""
import asyncio
from decimal import Decimal

from models import Base, Order, User, UserStats
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine


async def main():
    engine = create_async_engine("postgresql+asyncpg://postgres@localhost/myapp")
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add(User(id=1, name="ann"))
        for number in range(20):
            session.add(Order(user_id=1, total=Decimal("1.50")))
            await session.commit()
            session.expire_all()
            stats = await session.get(UserStats, 1)
            assert stats.order_count == number + 1, stats.order_count
    async with engine.begin() as conn:
        await conn.execute(text("REFRESH MATERIALIZED VIEW user_stats"))
        await conn.run_sync(Base.metadata.drop_all)
    await engine.dispose()


asyncio.run(main())
