"""What whoever runs the database meets: missing settings, dumps, migrations, failing views."""
