"""/api/dashboard: the numbers of the home page."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from finetune.dashboard import queries
from finetune.dashboard.analytics import analyse
from finetune.dashboard.analytics_form import ChosenSerializer, chosen_in
from finetune.dashboard.analytics_serializers import AnalyticsSerializer
from finetune.dashboard.serializers import StatsSerializer
from training.device_reports import worker_devices


class StatsView(APIView):
    @extend_schema(responses=StatsSerializer, operation_id="dashboard_stats")
    def get(self, request: Request) -> Response:
        """What you have and what is going on."""
        stats = queries.counts(request.user) | {
            "recent_jobs": queries.recent_jobs(request.user),
            "running_jobs": queries.running_jobs(request.user),
            "devices": [asdict(device) for device in worker_devices()],
        }
        return Response(StatsSerializer(stats).data)


class AnalyticsView(APIView):
    @extend_schema(parameters=[ChosenSerializer], responses=AnalyticsSerializer, operation_id="dashboard_analytics")
    def get(self, request: Request) -> Response:
        """What your ended jobs add up to, each by its last outcome."""
        return Response(AnalyticsSerializer(analyse(request.user, chosen_in(request.query_params))).data)
