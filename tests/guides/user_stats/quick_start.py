"""SQLAlchemy-PGView's quick start: make, query, refresh, refresh after each commit, drop."""
import sys
from decimal import Decimal

from models import ActiveUsers, Base, Order, User, UserStats
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.orm import Session
from sqlalchemy_utils import refresh_materialized_view

engine = create_engine(f"postgresql+{sys.argv[1]}://postgres@localhost/myapp")
Base.metadata.create_all(engine)
with engine.begin() as conn:
    conn.execute(text("CREATE UNIQUE INDEX user_stats_user ON user_stats (user_id)"))

with Session(engine) as session:
    session.add_all([User(id=1, name="ann"), User(id=2, name="bob", is_active=False)])
    session.add(Order(user_id=1, total=Decimal("20.00")))
    session.commit()


def show(when):
    with engine.connect() as conn:
        for row in conn.execute(select(ActiveUsers.__table__)):
            print(f"{when}: {row.name} is active")
        stats = conn.execute(select(UserStats.__table__).order_by(UserStats.user_id)).fetchall()
        for stat in stats:
            print(f"{when}: {stat.name}: {stat.order_count} orders, ${stat.total_spent}")


show("before")
with Session(engine) as session:
    refresh_materialized_view(session, "user_stats")
    refresh_materialized_view(session, "user_stats", concurrently=True)
    session.commit()
show("refreshed")


def refresh_after_commit(session):
    """What auto_refresh_on does: a connection of its own, once the data is committed."""
    with engine.begin() as conn:
        conn.execute(text("REFRESH MATERIALIZED VIEW user_stats"))


event.listen(Session, "after_commit", refresh_after_commit)
with Session(engine) as session:
    session.add(Order(user_id=1, total=Decimal("100.00")))
    session.commit()
    assert session.get(UserStats, 1).total_spent == 120
event.remove(Session, "after_commit", refresh_after_commit)

# in the transaction that writes, too
with Session(engine) as session:
    session.add(Order(user_id=2, total=Decimal("5.00")))
    session.flush()
    assert session.get(UserStats, 2).order_count == 0
    refresh_materialized_view(session, "user_stats")
    session.expire_all()
    assert session.get(UserStats, 2).order_count == 1
    session.commit()
show("after")
