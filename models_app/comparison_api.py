"""/api/models/comparisons: one prompt for several, votes, win rates, and votes as rows to learn from."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.models import Dataset
from datasets_app.serializers import DatasetSerializer
from finetune.core.drf import OwnedViewSetMixin
from finetune.core.errors import invalid_field
from models_app import comparison_serializers as shapes
from models_app.models import Comparison
from models_app.services.collect_preferences import collect_preferences
from models_app.services.compare_sources import compare_sources
from models_app.services.count_wins import count_wins
from models_app.services.try_prompt import gather
from models_app.services.vote_comparison import vote_comparison
from models_app.sources import list_sources


@extend_schema_view(list=extend_schema(summary="Your comparisons"), retrieve=extend_schema(summary="One comparison"))
class ComparisonViewSet(OwnedViewSetMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    queryset = Comparison.objects.all()
    serializer_class = shapes.SideBySideSerializer
    lookup_value_regex = r"\d+"
    filter_backends = ()

    @extend_schema(
        summary="Ask several at once and wait for their answers (they stream over /ws/compare)",
        request=shapes.CompareSerializer,
        responses={201: shapes.SideBySideSerializer},
    )
    def create(self, request: Request) -> Response:
        form = shapes.CompareSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        made, request_id = compare_sources(owner=request.user, **form.values())  # type: ignore[arg-type]
        gather(request_id=request_id)
        made.refresh_from_db()
        return Response(shapes.SideBySideSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Say which is best, once", request=shapes.VoteSerializer, responses=shapes.SideBySideSerializer)
    @action(detail=True, methods=["post"])
    def vote(self, request: Request, pk: str) -> Response:
        comparison = self.get_object()
        form = shapes.VoteSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return Response(shapes.SideBySideSerializer(vote_comparison(comparison=comparison, **form.validated_data)).data)

    @extend_schema(summary="How often which was preferred", responses=shapes.WinRatesSerializer)
    @action(detail=False, url_path="win-rates", pagination_class=None)
    def win_rates(self, request: Request) -> Response:
        return Response(count_wins(owner=request.user))  # type: ignore[arg-type]

    @extend_schema(summary="Everything that can be compared now", responses=shapes.SourceSerializer(many=True))
    @action(detail=False, pagination_class=None)
    def sources(self, request: Request) -> Response:
        groups = list_sources(request.user)
        return Response([{"source": ref, "name": name, "group": group} for group, rows in groups for ref, name in rows])

    @extend_schema(
        summary="Votes as rows of a preference dataset: its next version, or a new dataset",
        request=shapes.CollectSerializer,
        responses={201: DatasetSerializer},
    )
    @action(detail=False, methods=["post"])
    def preferences(self, request: Request) -> Response:
        form = shapes.CollectSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values: dict[str, Any] = dict(form.validated_data)
        values["dataset"] = self._owned(Dataset, "dataset", values["dataset"])
        values["comparison"] = self._owned(Comparison, "comparison", values["comparison"])
        made = collect_preferences(owner=request.user, **values)  # type: ignore[arg-type]
        return Response(DatasetSerializer(made).data, status=status.HTTP_201_CREATED)

    def _owned(self, model: Any, field: str, pk: int | None) -> Any:
        """The person's own row of this id, or None where none is named."""
        found = model.objects.for_user(self.request.user).filter(pk=pk).first() if pk else None
        if pk and found is None:
            raise invalid_field(field, f"There is no {field} {pk} of yours.")
        return found
