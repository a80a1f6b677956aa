"""A job's checkpoint, asked something."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from models_app.serializers import OutputSerializer, TrySerializer
from training.models import TrainingJob
from training.services.try_checkpoint import try_checkpoint


class TryCheckpointSerializer(TrySerializer):
    """A prompt or a conversation, and how to answer it."""

    compare_with = None  # type: ignore[assignment]  # DRF: not this one
    checkpoint = None  # type: ignore[assignment]
    with_base = serializers.BooleanField(default=False, help_text="Ask the untrained base too.")


class CheckpointOutputSerializer(OutputSerializer):
    model_id = None  # type: ignore[assignment]
    of = serializers.ChoiceField(["checkpoint", "base"])


class CheckpointOutputsSerializer(serializers.Serializer):
    outputs = CheckpointOutputSerializer(many=True)


class TryCheckpointView(APIView):
    """The checkpoint's answer; the job may still be running."""

    @extend_schema(request=TryCheckpointSerializer, responses=CheckpointOutputsSerializer)
    def post(self, request: Request, pk: int, step: int) -> Response:
        job = get_object_or_404(TrainingJob.objects.for_user(request.user).select_related("model"), pk=pk)
        form = TryCheckpointSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with_base = form.validated_data["with_base"]
        outputs = try_checkpoint(job=job, step=step, messages=form.conversation(), params=form.params(), with_base=with_base)
        return Response({"outputs": outputs})
