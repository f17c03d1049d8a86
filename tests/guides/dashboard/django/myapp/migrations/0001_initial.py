from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Events",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user_id", models.IntegerField()),
                ("event_type", models.CharField(max_length=20)),
                ("amount", models.DecimalField(decimal_places=2, max_digits=10)),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="DashboardMetrics",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("events", models.IntegerField()),
                ("unique_users", models.IntegerField()),
                ("revenue", models.DecimalField(decimal_places=2, max_digits=13)),
            ],
            options={"db_table": "mv_dashboard", "ordering": ["-day"], "managed": False},
        ),
    ]
