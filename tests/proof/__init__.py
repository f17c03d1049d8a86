"""Whole benchmarks as materialized views: every query is kept, and stays exact under every kind of change."""
