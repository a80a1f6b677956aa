"""What can be chosen: methods, executors, devices; and the sample."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from finetune.core.templatetags.ui import method_words
from training import executors
from training.api import serializers as shapes
from training.device_reports import worker_devices
from training.engine.spec import METHOD_KINDS, METHODS
from training.services.create_sample import create_sample
from training.spec_fields import describe_fields


class MethodsView(APIView):
    """Training methods with every option's help, bounds and default."""

    @extend_schema(responses=shapes.MethodSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response([_method(name, words) for name, words in METHODS.items()])


def _method(name: str, words: str) -> dict:
    about = {"id": name, "name": method_words(name), "help": words, "dataset_kinds": list(METHOD_KINDS[name])}
    return {**about, "options": describe_fields(name)}


class ExecutorsView(APIView):
    """Where jobs can run, and whether each place is usable now."""

    @extend_schema(responses=shapes.ExecutorSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response([{"id": name, **asdict(executors.load(name).capabilities(request.user))} for name in executors.EXECUTORS])


class DevicesView(APIView):
    """Every training worker's devices, with memory and utilisation now (at most some seconds old)."""

    @extend_schema(responses=shapes.DeviceSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response([asdict(device) for device in worker_devices()])


class SampleView(APIView):
    """The sample base model and dataset; asked again, the same ones."""

    @extend_schema(request=None, responses={202: shapes.SampleSerializer})
    def post(self, request: Request) -> Response:
        sample = create_sample(owner=cast(User, request.user))
        return Response({"model_id": sample.model.pk, "dataset_id": sample.dataset.pk}, status=202)
