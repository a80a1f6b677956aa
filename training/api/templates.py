"""/api/training/templates: built-in ones for everybody, and one's own."""

from __future__ import annotations

from typing import Any, cast

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from training.api.serializers import ConfigField
from training.models import JobTemplate
from training.recipes import LARGEST
from training.services.delete_template import delete_template
from training.services.load_template import load_template
from training.services.save_template import save_template
from training.services.update_template import update_template
from training.spec_fields import openapi_schema
from training.template_list import Template, find_template, list_templates

METHOD = OpenApiParameter("method", str, description="Only templates for this method.")
SEARCH = OpenApiParameter("search", str, description="In name and description.")
ID = OpenApiParameter("id", str, OpenApiParameter.PATH)


class TemplateSerializer(serializers.Serializer):
    """A template as it is listed."""

    id = serializers.CharField(help_text="Of built-in ones a word, of own ones a number.")
    name = serializers.CharField()
    description = serializers.CharField()
    method = serializers.CharField()
    config = serializers.SerializerMethodField(help_text="What differs from the method's defaults.")
    built_in = serializers.SerializerMethodField(help_text="Built-in ones can't be changed.")

    @extend_schema_field(openapi_schema())
    def get_config(self, template: Any) -> dict[str, Any]:
        return template.config

    def get_built_in(self, template: Any) -> bool:
        return getattr(template, "built_in", False)


class TemplateBodySerializer(serializers.Serializer):
    """POST and PUT of a template."""

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(required=False, allow_blank=True)
    method = serializers.CharField()
    config = ConfigField(required=False)


class TemplateFileSerializer(serializers.Serializer):
    """A template of ours in YAML or JSON, or the YAML of a LLaMA-Factory or Axolotl training."""

    file = serializers.FileField(allow_empty_file=True)


class TemplateViewSet(viewsets.GenericViewSet):
    """Methods with their options under a name."""

    queryset = JobTemplate.objects.none()
    serializer_class = TemplateSerializer
    lookup_value_regex = "[a-z0-9_-]+"
    filter_backends: list = []

    @extend_schema(parameters=[METHOD, SEARCH])
    def list(self, request: Request) -> Response:
        words = request.query_params.get("search", "").strip().lower()
        found = list_templates(request.user, method=request.query_params.get("method", ""))
        found = [item for item in found if words in f"{item.name} {item.description}".lower()]
        page = self.paginate_queryset(cast(Any, found))
        return self.get_paginated_response(TemplateSerializer(page, many=True).data)

    @extend_schema(request=TemplateBodySerializer, responses={201: TemplateSerializer})
    def create(self, request: Request) -> Response:
        made = save_template(owner=cast(User, request.user), **_body(request))
        return Response(TemplateSerializer(made).data, status=201)

    @extend_schema(request=TemplateFileSerializer, responses={201: TemplateSerializer})
    @action(detail=False, methods=["post"], parser_classes=[MultiPartParser])
    def load(self, request: Request) -> Response:
        """Make a template from a file. What a template can't say is named in its description."""
        shape = TemplateFileSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        file = shape.validated_data["file"]
        made = load_template(owner=cast(User, request.user), content=file.read(LARGEST + 1), filename=file.name)
        return Response(TemplateSerializer(made).data, status=201)

    @extend_schema(parameters=[ID])
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(TemplateSerializer(self._find(request, pk)).data)

    @extend_schema(parameters=[ID], request=TemplateBodySerializer, responses=TemplateSerializer)
    def update(self, request: Request, pk: str) -> Response:
        template = self._find(request, pk)
        return Response(TemplateSerializer(update_template(template=template, **_body(request))).data)

    @extend_schema(parameters=[ID])
    def destroy(self, request: Request, pk: str) -> Response:
        delete_template(template=self._find(request, pk))
        return Response(status=204)

    def _find(self, request: Request, pk: str) -> Template:
        found = find_template(request.user, pk)
        if found is None:
            raise Http404
        return found


def _body(request: Request) -> dict[str, Any]:
    shape = TemplateBodySerializer(data=request.data)
    shape.is_valid(raise_exception=True)
    return {"description": "", "config": {}, **shape.validated_data}
