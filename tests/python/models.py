"""Models, names and values that tests share; the names are hostile."""

import enum
from decimal import Decimal

from sqlalchemy import Index, MetaData, Numeric, String, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from freshet.sqlalchemy import MaterializedViewBase, ViewBase

HOSTILE = ['Se"le\'ct %s %% %(x)s', ":name a:b\\c; DROP TABLE orders --", "schöne_☃ " + "ä" * 24]


class Color(enum.Enum):
    red = "r"
    blue = "b"


def shop():
    """A Base of its own with users and orders, a view, a materialized view and one over it."""

    class Base(DeclarativeBase):
        metadata = MetaData()

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(100))
        color: Mapped[Color] = mapped_column(default=Color.red)

    class Order(Base):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(primary_key=True)
        user_id: Mapped[int]
        total: Mapped[Decimal] = mapped_column(Numeric(10, 2))

    class Best(MaterializedViewBase, Base):     # declared before what it reads is created, by name as well
        __tablename__ = "a_best"
        __select__ = classmethod(lambda cls: select(Stats.color, func.max(Stats.spent).label("spent"))
                                 .group_by(Stats.color))
        __abstract__ = True

    class Stats(MaterializedViewBase, Base):
        __tablename__ = "stats"
        __select__ = (
            select(User.id, User.name, User.color, func.count(Order.id).label("orders"),
                   func.coalesce(func.sum(Order.total), 0).label("spent"))
            .join(Order, Order.user_id == User.id, isouter=True).group_by(User.id, User.name, User.color))
        __table_args__ = (Index("stats_spent", "spent"), {"comment": "what users spent"})

    class BestOfColor(Best):
        pass

    class Active(ViewBase, Base):
        __tablename__ = "active"
        __select__ = select(Stats.id, Stats.name).where(Stats.orders > 0)
        __table_args__ = {"comment": "who ordered"}

    class Space:
        pass

    space = Space()
    space.Base, space.User, space.Order, space.Stats, space.Best, space.Active = (
        Base, User, Order, Stats, BestOfColor, Active)
    return space
