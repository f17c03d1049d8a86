"""The dashboard by REST framework."""
from rest_framework import serializers, viewsets

from .models import DashboardMetrics


class DashboardSerializer(serializers.ModelSerializer):
    class Meta:
        model = DashboardMetrics
        fields = ['day', 'events', 'unique_users', 'revenue']


class DashboardViewSet(viewsets.ReadOnlyModelViewSet):
    queryset = DashboardMetrics.objects.all()
    serializer_class = DashboardSerializer
    filterset_fields = ['day']
