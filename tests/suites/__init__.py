"""Other people's test suites, directly at PostgreSQL and through the door."""
