"""The application with the views."""
