"""Query and refresh by SQLAlchemy. Argument: the driver."""
import sys

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy_model import DashboardMetrics

engine = create_engine(f"postgresql+{sys.argv[1]}://postgres@localhost/myapp")


def show():
    with Session(engine) as session:
        recent = (
            session.query(DashboardMetrics)
            .order_by(DashboardMetrics.day.desc())
            .limit(30)
            .all()
        )
        for row in recent:
            print(f"{row.day}: {row.unique_users} users, ${row.revenue}")


show()
with engine.connect() as conn:
    conn.execute(text(
        "REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard"
    ))
    conn.commit()
show()
