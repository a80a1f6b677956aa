"""/api/models/{id}/evaluations and /api/models/evaluations: a split run through a version, its numbers and its samples."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.generics import GenericAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.models import Dataset
from finetune.core.drf import OwnedViewSetMixin
from finetune.core.errors import invalid_field
from models_app import evaluation_serializers as shapes
from models_app.evaluation_samples import ORDERS, ordered_samples
from models_app.models import Evaluation, LanguageModel
from models_app.services.cancel_evaluation import cancel_evaluation
from models_app.services.compare_evaluations import compare_evaluations
from models_app.services.delete_evaluation import delete_evaluation
from models_app.services.evaluate_model import evaluate_model


class ModelEvaluationsView(GenericAPIView):
    """A model's evaluations."""

    queryset = Evaluation.objects.all()
    serializer_class = shapes.EvaluationSerializer
    filter_backends = ()

    def _model(self, pk: int) -> LanguageModel:
        return get_object_or_404(LanguageModel.objects.for_user(self.request.user).select_related("base_model"), pk=pk)

    @extend_schema(summary="Evaluations of a model, newest first", responses=shapes.EvaluationSerializer(many=True))
    def get(self, request: Request, pk: int) -> Response:
        rows = self.paginate_queryset(self._model(pk).evaluations.all())
        return self.get_paginated_response(shapes.EvaluationSerializer(rows, many=True).data)

    @extend_schema(
        summary="Run a split of a dataset through the model",
        request=shapes.NewEvaluationSerializer,
        responses={202: shapes.EvaluationSerializer},
    )
    def post(self, request: Request, pk: int) -> Response:
        model = self._model(pk)
        form = shapes.NewEvaluationSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = dict(form.validated_data)
        dataset = Dataset.objects.for_user(request.user).filter(pk=values.pop("dataset")).first()
        if dataset is None:
            raise invalid_field("dataset", "There is no such dataset of yours.")
        made = evaluate_model(model=model, dataset=dataset, **values)
        return Response(shapes.EvaluationSerializer(made).data, status=status.HTTP_202_ACCEPTED)


class EvaluationViewSet(OwnedViewSetMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    queryset = Evaluation.objects.all()
    serializer_class = shapes.EvaluationSerializer
    lookup_value_regex = r"\d+"

    @extend_schema(summary="Delete an evaluation that has ended", responses={204: OpenApiResponse(description="Deleted.")})
    def destroy(self, request: Request, pk: str) -> Response:
        delete_evaluation(evaluation=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(summary="Stop an evaluation; what it found stays", request=None, responses={202: shapes.EvaluationSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        found = cancel_evaluation(evaluation=self.get_object())
        return Response(shapes.EvaluationSerializer(found).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="What was asked, expected and answered",
        parameters=[OpenApiParameter("order", enum=list(ORDERS), description="worst by default")],
        responses=shapes.EvaluationSampleSerializer(many=True),
    )
    @action(detail=True, filter_backends=[])
    def samples(self, request: Request, pk: str) -> Response:
        order = request.query_params.get("order", "worst")
        if order not in ORDERS:
            raise invalid_field("order", f"Must be one of {', '.join(ORDERS)}.")
        rows: Any = self.paginate_queryset(ordered_samples(self.get_object(), order))
        return self.get_paginated_response(shapes.EvaluationSampleSerializer([row.as_dict() for row in rows], many=True).data)

    @extend_schema(
        summary="Two evaluations beside each other",
        parameters=[OpenApiParameter("with", OpenApiTypes.INT, required=True)],
        responses=shapes.EvaluationComparisonSerializer,
    )
    @action(detail=True, filter_backends=[])
    def compare(self, request: Request, pk: str) -> Response:
        first, number = self.get_object(), request.query_params.get("with", "")
        second = self.get_queryset().filter(pk=int(number)).first() if number.isdecimal() and len(number) < 19 else None
        if second is None:
            raise invalid_field("with", "Name another evaluation of yours.")
        found = compare_evaluations(first=first, second=second)
        return Response(shapes.EvaluationComparisonSerializer({**found, "a": first, "b": second}).data)
