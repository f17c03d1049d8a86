"""The table below the dashboard."""
from sqlalchemy import BigInteger, Column, DateTime, Integer, Numeric, String, func
from sqlalchemy_model import Base


class Event(Base):
    __tablename__ = "events"

    id = Column(BigInteger, primary_key=True)
    user_id = Column(Integer, nullable=False)
    event_type = Column(String(20), nullable=False)
    amount = Column(Numeric(10, 2), nullable=False)
    created_at = Column(DateTime(timezone=True), nullable=False, server_default=func.now())
