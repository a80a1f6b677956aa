"""/api/dashboard: the numbers of the home page."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from finetune.dashboard import queries
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
