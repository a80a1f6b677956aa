"""/api/training/defaults: what one's own new jobs begin with."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.person import person
from training.api.serializers import JobDefaultsSerializer
from training.job_defaults import defaults_of
from training.services.save_job_defaults import save_job_defaults


class JobDefaultsView(APIView):
    @extend_schema(responses=JobDefaultsSerializer, operation_id="training_defaults")
    def get(self, request: Request) -> Response:
        """What the form of a new job begins with, and a POST of one with `use_defaults`."""
        return Response(JobDefaultsSerializer(defaults_of(person(request))).data)

    @extend_schema(request=JobDefaultsSerializer, responses=JobDefaultsSerializer, operation_id="training_defaults_save")
    def put(self, request: Request) -> Response:
        """Store them, in place of the earlier ones."""
        shape = JobDefaultsSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        return Response(JobDefaultsSerializer(save_job_defaults(owner=person(request), **shape.validated_data)).data)
