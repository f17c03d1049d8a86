"""Random changes, and after each step every view compared with its query."""
