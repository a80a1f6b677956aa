"""/api/models/ollama and …/{id}/import-ollama: models in an Ollama server."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from models_app import ollama_serializers as forms
from models_app.export_api import own_model
from models_app.models import LanguageModel, OllamaCopy
from models_app.serializers import ModelSerializer
from models_app.services.cancel_ollama import cancel_ollama
from models_app.services.choose_ollama import choose_ollama
from models_app.services.describe_ollama import describe_ollama
from models_app.services.import_ollama import import_ollama
from models_app.services.remove_ollama import remove_ollama


def own_copy(user: object, pk: int) -> OllamaCopy:
    """The asker's own, or 404."""
    return get_object_or_404(OllamaCopy.objects.for_user(user).select_related("model"), pk=pk)


class OllamaView(APIView):
    @extend_schema(
        responses=forms.ServerSerializer,
        operation_id="models_ollama",
        summary="Your Ollama server, what it has, and what we made there",
    )
    def get(self, request: Request) -> Response:
        return Response(forms.ServerSerializer(describe_ollama(owner=request.user)).data)

    @extend_schema(
        request=forms.ChooseServerSerializer, responses=forms.ServerSerializer, operation_id="models_ollama_choose",
        summary="Choose an Ollama server among those that the operator allows",
    )  # fmt: skip
    def put(self, request: Request) -> Response:
        wanted = forms.ChooseServerSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        choose_ollama(owner=request.user, **wanted.validated_data)
        return Response(forms.ServerSerializer(describe_ollama(owner=request.user)).data)


class CopyView(APIView):
    @extend_schema(
        responses=forms.CopySerializer, operation_id="models_ollama_copies_retrieve", summary="One model that we made there"
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(forms.CopySerializer(own_copy(request.user, pk)).data)

    @extend_schema(
        responses={204: OpenApiResponse(description="Removed.")}, operation_id="models_ollama_copies_destroy",
        summary="Remove a model that we made from its Ollama server",
    )  # fmt: skip
    def delete(self, request: Request, pk: int) -> Response:
        remove_ollama(copy=own_copy(request.user, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class CopyCancelView(APIView):
    @extend_schema(
        request=None, responses={202: forms.CopySerializer}, operation_id="models_ollama_copies_cancel", summary="Stop an import"
    )
    def post(self, request: Request, pk: int) -> Response:
        cancelled = cancel_ollama(copy=own_copy(request.user, pk))
        return Response(forms.CopySerializer(cancelled).data, status=status.HTTP_202_ACCEPTED)


class ImportView(APIView):
    @extend_schema(
        request=forms.ImportSerializer, responses={202: ModelSerializer}, operation_id="models_import_ollama",
        summary="Import a model into Ollama; follow it in …/ollama-copies, then `ollama_name` is set",
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        model = own_model(request.user, pk)
        wanted = forms.ImportSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        import_ollama(model=model, **wanted.validated_data)
        return Response(ModelSerializer(LanguageModel.objects.get(pk=pk)).data, status=status.HTTP_202_ACCEPTED)


@extend_schema_view(
    get=extend_schema(operation_id="models_ollama_copies_list", summary="What we made of a model in Ollama servers")
)
class CopiesView(ListAPIView):
    serializer_class = forms.CopySerializer
    filter_backends: list = []

    def get_queryset(self) -> QuerySet[OllamaCopy]:
        if getattr(self, "swagger_fake_view", False):  # the schema is written without anybody asking
            return OllamaCopy.objects.none()
        return own_model(self.request.user, self.kwargs["pk"]).ollama_copies.all()
