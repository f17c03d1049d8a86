"""Migrations are generated."""
