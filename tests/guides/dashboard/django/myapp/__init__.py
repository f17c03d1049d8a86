"""The application with the dashboard."""
