"""/api/datasets/mappings: mappings kept under a name."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.mapping_serializers import SavedMappingSerializer
from datasets_app.models import SavedMapping
from datasets_app.services.delete_mapping import delete_mapping
from datasets_app.services.save_mapping import save_mapping
from finetune.core.drf import OwnedViewSetMixin


@extend_schema_view(list=extend_schema(summary="Your saved mappings"), retrieve=extend_schema(summary="One saved mapping"))
class MappingViewSet(OwnedViewSetMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    queryset = SavedMapping.objects.all()
    serializer_class = SavedMappingSerializer
    lookup_value_regex = r"\d+"
    search_fields = ("name",)
    ordering_fields = ("name", "updated_at")

    @extend_schema(responses={201: SavedMappingSerializer}, summary="Save a mapping; one of the same name is replaced")
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        form = SavedMappingSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        saved = save_mapping(owner=request.user, **form.validated_data)  # type: ignore[arg-type]
        return Response(SavedMappingSerializer(saved).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: OpenApiResponse(description="Deleted.")}, summary="Forget a saved mapping")
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        delete_mapping(mapping=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
