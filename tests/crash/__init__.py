"""kill -9 at any instant loses and duplicates nothing."""
