"""/v1/models: what can answer and be trained."""

from __future__ import annotations

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from finetune.core.errors import Conflict
from finetune.openai.refs import find_model, models_of
from finetune.openai.shapes import DeletedSerializer, ModelListSerializer, ModelSerializer, errors, model_object
from finetune.openai.view import OpenAIView
from models_app.models import LanguageModel
from models_app.services.delete_model import delete_model


class ModelsView(OpenAIView):
    @extend_schema(
        operation_id="openai_list_models",
        summary="Models that are ready",
        responses={200: ModelListSerializer, **errors()},
    )
    def get(self, request: Request) -> Response:
        return Response({"object": "list", "data": [model_object(model) for model in models_of(self.user)]})


class ModelView(OpenAIView):
    """`ref` is an id, a name, or a repository of the Hub."""

    def _model(self, ref: str) -> LanguageModel:
        model = find_model(self.user, ref)
        if model is None:
            raise Http404
        return model

    @extend_schema(operation_id="openai_retrieve_model", summary="One model", responses={200: ModelSerializer, **errors(404)})
    def get(self, request: Request, ref: str) -> Response:
        return Response(model_object(self._model(ref)))

    @extend_schema(
        operation_id="openai_delete_model",
        summary="Delete a tuned model that nothing uses",
        responses={200: DeletedSerializer, **errors(404, 409)},
    )
    def delete(self, request: Request, ref: str) -> Response:
        model = self._model(ref)
        if model.kind == LanguageModel.Kind.BASE:
            raise Conflict("Only tuned models are deleted here. Remove a base on its page or at /api/models.", code="not_tuned")
        told = {"id": f"model-{model.pk}", "object": "model", "deleted": True}
        delete_model(model=model)
        return Response(told)
