"""The dashboard as a SQLAlchemy model."""
from sqlalchemy import Column, Date, Integer, Numeric
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


class DashboardMetrics(Base):
    __tablename__ = 'mv_dashboard'

    day = Column(Date, primary_key=True)
    events = Column(Integer, nullable=False)
    unique_users = Column(Integer, nullable=False)
    revenue = Column(Numeric(13, 2), nullable=False)

    # Prevent Alembic from trying to CREATE/ALTER this table
    __table_args__ = {'info': {'is_view': True}}
