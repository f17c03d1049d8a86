from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [('myapp', '0001_initial')]

    operations = [
        migrations.RunSQL(
            sql="""
                CREATE MATERIALIZED VIEW mv_dashboard AS
                SELECT
                    date_trunc('day', created_at)::date AS day,
                    COUNT(*)::integer AS events,
                    COUNT(DISTINCT user_id)::integer AS unique_users,
                    SUM(CASE WHEN event_type = 'purchase'
                        THEN amount ELSE 0 END)::numeric(13,2) AS revenue
                FROM myapp_events
                WHERE created_at >= CURRENT_DATE - INTERVAL '90 days'
                GROUP BY 1
                WITH DATA;

                CREATE UNIQUE INDEX idx_mv_dashboard_day
                    ON mv_dashboard (day);
            """,
            reverse_sql="""
                DROP MATERIALIZED VIEW IF EXISTS mv_dashboard CASCADE;
            """
        ),
    ]
