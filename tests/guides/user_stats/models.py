"""The models and views of SQLAlchemy-PGView's page, with SQLAlchemy-Utils' views."""
from decimal import Decimal

from sqlalchemy import Integer, Numeric, String, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy_utils import create_materialized_view, create_view


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    is_active: Mapped[bool] = mapped_column(default=True)


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(Integer)
    total: Mapped[Decimal] = mapped_column(Numeric(10, 2))


active_users = select(User.id, User.name).where(User.is_active == True)  # noqa: E712
user_stats = select(
    User.id.label("user_id"),
    User.name,
    func.count(Order.id).label("order_count"),
    func.coalesce(func.sum(Order.total), 0).label("total_spent"),
).select_from(
    User.__table__.outerjoin(Order.__table__, User.id == Order.user_id)
).group_by(User.id, User.name)


class ActiveUsers(Base):
    __table__ = create_view("active_users", active_users, Base.metadata)


class UserStats(Base):
    __table__ = create_materialized_view("user_stats", user_stats, Base.metadata)
    __mapper_args__ = {"primary_key": [__table__.c.user_id]}
