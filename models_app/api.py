"""/api/models: base models, versions, and trying them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, renderers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from finetune.core import streams
from finetune.core.drf import OwnedViewSetMixin
from finetune.core.errors import DomainError
from models_app import serializers
from models_app.filters import filter_models
from models_app.hub_serializers import PushSerializer
from models_app.models import LanguageModel
from models_app.serializers import ModelSerializer
from models_app.services.cancel_download import cancel_download
from models_app.services.delete_model import delete_model
from models_app.services.push_model import push_model
from models_app.services.register_base import register_base
from models_app.services.try_prompt import afollow, await_start, gather
from models_app.services.update_model import update_model
from models_app.services.update_version import update_version
from models_app.try_request import ask


class EventStreamRenderer(renderers.BaseRenderer):
    """Lets `Accept: text/event-stream` through content negotiation; the stream itself is not rendered."""

    media_type = "text/event-stream"
    format = "event-stream"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return renderers.JSONRenderer().render(data)


FILTERS = [
    OpenApiParameter("kind", enum=LanguageModel.Kind.values),
    OpenApiParameter("status", enum=LanguageModel.Status.values),
    OpenApiParameter("family"),
    OpenApiParameter("is_latest", OpenApiTypes.BOOL),
]
NO_CONTENT = OpenApiResponse(description="Deleted.")


@extend_schema_view(
    list=extend_schema(parameters=FILTERS, summary="Your models"),
    retrieve=extend_schema(summary="One model"),
    create=extend_schema(
        request=serializers.NewModelSerializer,
        responses={201: ModelSerializer},
        summary="Add a base model; ready at once when the local Hub cache has it",
    ),
    update=extend_schema(request=serializers.ChangeModelSerializer, responses=ModelSerializer, summary="Rename or describe"),
    partial_update=extend_schema(
        request=serializers.ChangeModelSerializer, responses=ModelSerializer, summary="Rename or describe"
    ),
    destroy=extend_schema(responses={204: NO_CONTENT}, summary="Delete a model that nothing uses"),
)
class ModelViewSet(
    OwnedViewSetMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet,
):
    queryset = LanguageModel.objects.select_related("base_model", "produced_by")
    serializer_class = ModelSerializer
    lookup_value_regex = r"\d+"
    search_fields = ("name", "family", "repo_id", "architecture", "version_tag")
    ordering_fields = ("name", "created_at", "version", "parameters", "bytes", "status")

    def filter_queryset(self, queryset: Any) -> Any:
        return super().filter_queryset(filter_models(queryset, self.request.query_params) if self.action == "list" else queryset)

    def create(self, request: Request) -> Response:
        model = register_base(owner=request.user, **self._parsed(serializers.NewModelSerializer))
        return Response(ModelSerializer(model).data, status=status.HTTP_201_CREATED)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        model = self.get_object()
        model = update_model(model=model, **self._parsed(serializers.ChangeModelSerializer, partial=request.method == "PATCH"))
        return Response(ModelSerializer(model).data)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.update(request, *args, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        delete_model(model=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=ModelSerializer(many=True), summary="Every version of the model's family, newest first")
    @action(detail=True, filter_backends=[])
    def versions(self, request: Request, pk: str) -> Response:
        rows = self.get_queryset().filter(family=self.get_object().family).order_by("-version")
        return self.get_paginated_response(ModelSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(request=serializers.VersionSerializer, responses=ModelSerializer, summary="Tag, note, or make the latest")
    @action(detail=True, methods=["put"])
    def version(self, request: Request, pk: str) -> Response:
        model = self.get_object()
        model = update_version(model=model, **self._parsed(serializers.VersionSerializer))
        return Response(ModelSerializer(model).data)

    @extend_schema(request=None, responses={202: ModelSerializer}, summary="Stop a download and remove what has come")
    @action(detail=True, methods=["post"], url_path="cancel-download")
    def cancel_download(self, request: Request, pk: str) -> Response:
        return Response(ModelSerializer(cancel_download(model=self.get_object())).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=PushSerializer, responses={202: ModelSerializer}, summary="Push a version to the Hugging Face Hub")
    @action(detail=True, methods=["post"], url_path="push-hf")
    def push_hf(self, request: Request, pk: str) -> Response:
        model = push_model(model=self.get_object(), **self._parsed(PushSerializer))
        return Response(ModelSerializer(model).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=serializers.TrySerializer,
        responses={(200, "application/json"): serializers.OutputsSerializer, (200, "text/event-stream"): OpenApiTypes.STR},
        summary="Answer a prompt; streams with `Accept: text/event-stream`",
    )
    @action(detail=True, methods=["post"], renderer_classes=[renderers.JSONRenderer, EventStreamRenderer])
    def test(self, request: Request, pk: str) -> HttpResponseBase:
        request_id = ask(user=request.user, model=self.get_object(), body=request.data)
        if not isinstance(request.accepted_renderer, EventStreamRenderer):
            return Response({"outputs": gather(request_id=request_id)})
        await_start(request_id=request_id)  # so that a missing worker is a 503, not a broken stream
        answer = StreamingHttpResponse(_events(request_id), content_type="text/event-stream")
        answer["Cache-Control"], answer["X-Accel-Buffering"] = "no-cache", "no"  # a proxy passes each token on at once
        return answer

    def _parsed(self, serializer: type[serializers.serializers.Serializer], **options: Any) -> dict[str, Any]:
        form = serializer(data=self.request.data, **options)
        form.is_valid(raise_exception=True)
        return form.validated_data

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """A refusal is JSON, also for those who asked for a stream."""
        if getattr(response, "exception", False) and isinstance(getattr(request, "accepted_renderer", None), EventStreamRenderer):
            request.accepted_renderer, request.accepted_media_type = renderers.JSONRenderer(), "application/json"
        return super().finalize_response(request, response, *args, **kwargs)


async def _events(request_id: str) -> AsyncIterator[str]:
    """The request's messages as server-sent events. A client that goes away stops the generation."""
    done = False
    try:
        async for message in afollow(request_id=request_id):
            yield f"data: {json.dumps(message)}\n\n"
            done = message["type"] in (streams.END, streams.ERROR)
    except DomainError as error:
        yield f"data: {json.dumps({'type': streams.ERROR, 'message': error.message, 'code': error.code})}\n\n"
        done = True
    finally:
        if not done:
            await sync_to_async(streams.cancel, thread_sensitive=False)(request_id)
