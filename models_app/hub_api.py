"""/api/models/huggingface: what the Hub has, and downloads from it."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from models_app import hub_serializers as forms
from models_app.serializers import ModelSerializer
from models_app.services.describe_hub_model import describe_hub_model
from models_app.services.download_model import download_model
from models_app.services.list_popular import list_popular
from models_app.services.search_hub import search_hub


class HubSearchView(APIView):
    @extend_schema(
        parameters=[forms.SearchSerializer], responses=forms.HubResultsSerializer, summary="Search the Hugging Face Hub",
        operation_id="models_huggingface_search",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        wanted = forms.SearchSerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        results, more = search_hub(owner=request.user, **wanted.validated_data)
        answer = {"results": results, "page": wanted.validated_data["page"], "more": more}
        return Response(forms.HubResultsSerializer(answer).data)


class HubPopularView(APIView):
    @extend_schema(
        responses=forms.PopularSerializer, summary="Models to begin with, small to large", operation_id="models_huggingface_popular"
    )
    def get(self, request: Request) -> Response:
        results, live = list_popular(owner=request.user)
        return Response(forms.PopularSerializer({"results": results, "live": live}).data)


class HubInfoView(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("revision")], responses=forms.HubInfoSerializer,
        summary="One repository of the Hub: files, size, context, model card", operation_id="models_huggingface_info",
    )  # fmt: skip
    def get(self, request: Request, repo_id: str) -> Response:
        revision = request.query_params.get("revision", "")
        return Response(forms.HubInfoSerializer(describe_hub_model(owner=request.user, repo_id=repo_id, revision=revision)).data)


class HubDownloadView(APIView):
    @extend_schema(
        request=forms.DownloadSerializer, responses={202: ModelSerializer},
        summary="Download a model, or take a broken download up again", operation_id="models_huggingface_download",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        wanted = forms.DownloadSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        model = download_model(owner=request.user, **wanted.validated_data)
        return Response(ModelSerializer(model).data, status=status.HTTP_202_ACCEPTED)
