"""/api/datasets: files in, rows and findings out."""

from __future__ import annotations

from typing import Any, cast

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework import serializers as drf
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from datasets_app import insights, serializers
from datasets_app.filters import SEARCHED, SORTED_BY, filter_datasets
from datasets_app.gates import gates_of, gates_of_owner
from datasets_app.mapping_serializers import ImportHubSerializer, MappingGivenSerializer, MappingPreviewSerializer
from datasets_app.models import Dataset
from datasets_app.serializers import DatasetSerializer
from datasets_app.services.cancel_measurement import cancel_measurement
from datasets_app.services.confirm_mapping import confirm_mapping
from datasets_app.services.delete_dataset import delete_dataset
from datasets_app.services.diff_versions import diff_versions
from datasets_app.services.download_dataset import FORMATS, download_dataset
from datasets_app.services.fix_dataset import fix_dataset
from datasets_app.services.import_hub_dataset import import_hub_dataset
from datasets_app.services.list_versions import list_versions
from datasets_app.services.measure_dataset import await_measurement, measure_dataset
from datasets_app.services.mix_datasets import Part, mix_datasets
from datasets_app.services.preview_dataset import preview_dataset
from datasets_app.services.preview_mapping import preview_mapping
from datasets_app.services.read_statistics import read_statistics
from datasets_app.services.set_gates import set_gates
from datasets_app.services.split_dataset import split_dataset
from datasets_app.services.update_dataset import update_dataset
from datasets_app.services.upload_batch import Uploaded, upload_batch
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.services.validate_dataset import validate_dataset
from finetune.core.downloads import stream_file
from finetune.core.drf import OwnedViewSetMixin
from finetune.core.errors import Conflict, invalid_field

COUNT_WAIT = 8.0  # seconds for a small dataset to be counted within the request
FILTERS = [
    OpenApiParameter("status", enum=Dataset.Status.values),
    OpenApiParameter("format", enum=Dataset.Format.values),
    OpenApiParameter("kind", enum=Dataset.Kind.values),
]
WHAT = [OpenApiParameter("format", enum=FORMATS, default="original"), OpenApiParameter("split")]


@extend_schema_view(
    list=extend_schema(parameters=FILTERS, summary="Your datasets"),
    retrieve=extend_schema(summary="One dataset"),
    update=extend_schema(request=serializers.ChangeDatasetSerializer, responses=DatasetSerializer, summary="Rename or describe"),
    partial_update=extend_schema(
        request=serializers.ChangeDatasetSerializer, responses=DatasetSerializer, summary="Rename or describe"
    ),
    destroy=extend_schema(
        responses={204: OpenApiResponse(description="Deleted.")}, summary="Delete a dataset that no job points to"
    ),
)
class DatasetViewSet(OwnedViewSetMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    queryset = Dataset.objects.all()
    serializer_class = DatasetSerializer
    lookup_value_regex = r"\d+"
    search_fields = SEARCHED
    ordering_fields = SORTED_BY

    def filter_queryset(self, queryset: Any) -> Any:
        return super().filter_queryset(filter_datasets(queryset, self.request.query_params) if self.action == "list" else queryset)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        dataset = self.get_object()
        change = self._parsed(serializers.ChangeDatasetSerializer, request.data, partial=request.method == "PATCH")
        return Response(DatasetSerializer(update_dataset(dataset=dataset, **change)).data)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.update(request, *args, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        delete_dataset(dataset=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request={"multipart/form-data": serializers.UploadSerializer},
        responses={201: DatasetSerializer},
        summary="Upload a file; reading it starts by itself",
    )
    @action(detail=False, methods=["post"], parser_classes=[MultiPartParser])
    def upload(self, request: Request) -> Response:
        dataset = upload_dataset(owner=self._owner(), **self._parsed(serializers.UploadSerializer, request.data))
        return Response(DatasetSerializer(dataset).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request={"multipart/form-data": serializers.UploadBatchSerializer},
        responses=serializers.UploadedListSerializer,
        summary="Upload several files or ZIP archives; one outcome for each",
    )
    @action(detail=False, methods=["post"], url_path="upload-batch", parser_classes=[MultiPartParser])
    def upload_batch(self, request: Request) -> Response:
        outcomes = upload_batch(owner=self._owner(), **self._parsed(serializers.UploadBatchSerializer, request.data))
        return Response({"results": [_outcome(outcome) for outcome in outcomes]})

    @extend_schema(request=ImportHubSerializer, responses={202: DatasetSerializer}, summary="Bring a data set from the Hub")
    @action(detail=False, methods=["post"], url_path="import-hub")
    def import_hub(self, request: Request) -> Response:
        dataset = import_hub_dataset(owner=self._owner(), **self._parsed(ImportHubSerializer, request.data))
        return Response(DatasetSerializer(dataset).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=DatasetSerializer, summary="Agree to the columns that were taken by their names")
    @action(detail=True, methods=["post"], url_path="confirm-mapping")
    def confirm_mapping(self, request: Request, pk: str) -> Response:
        return Response(DatasetSerializer(confirm_mapping(dataset=self.get_object())).data)

    @extend_schema(
        request=MappingGivenSerializer, responses=MappingPreviewSerializer, summary="What a mapping makes of the first rows"
    )
    @action(detail=True, methods=["post"], url_path="mapping-preview")
    def mapping_preview(self, request: Request, pk: str) -> Response:
        dataset = self.get_object()
        shown = preview_mapping(dataset=dataset, **self._parsed(MappingGivenSerializer, request.data))
        return Response(MappingPreviewSerializer(shown).data)

    @extend_schema(request=serializers.ValidateSerializer, responses={202: DatasetSerializer}, summary="Read the file again")
    @action(detail=True, methods=["post"])
    def validate(self, request: Request, pk: str) -> Response:
        dataset = self.get_object()
        dataset = validate_dataset(dataset=dataset, **self._parsed(serializers.ValidateSerializer, request.data))
        return Response(DatasetSerializer(dataset).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=serializers.ValidationSerializer, summary="What reading the file found")
    @action(detail=True)
    def validation(self, request: Request, pk: str) -> Response:
        return Response(serializers.validation_of(self.get_object()))

    @extend_schema(
        parameters=[serializers.PreviewQuerySerializer], responses=serializers.PreviewSerializer, summary="Some normalised rows"
    )
    @action(detail=True, pagination_class=None, filter_backends=[])
    def preview(self, request: Request, pk: str) -> Response:
        dataset = self.get_object()
        shown = preview_dataset(dataset=dataset, **self._parsed(serializers.PreviewQuerySerializer, request.query_params))
        shape = serializers.PreviewSerializer(shown).data
        return Response(shape if shown.rendered is not None else {name: shape[name] for name in shape if name != "rendered"})

    @extend_schema(
        parameters=WHAT, responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, summary="The file, or its rows"
    )
    @action(detail=True, pagination_class=None, filter_backends=[])
    def download(self, request: Request, pk: str) -> StreamingHttpResponse:
        dataset = self.get_object()
        file = download_dataset(dataset=dataset, **self._parsed(serializers.DownloadQuerySerializer, request.query_params))
        return stream_file(request._request, file.chunks, filename=file.filename, content_type=file.content_type, size=file.size)

    @extend_schema(
        request=insights.SplitSerializer,
        responses={200: DatasetSerializer, 202: DatasetSerializer},
        summary="Divide the rows into splits; 202 while a worker still divides many",
    )
    @action(detail=True, methods=["post"])
    def split(self, request: Request, pk: str) -> Response:
        dataset = self.get_object()
        dataset = split_dataset(dataset=dataset, by=self._owner(), **self._parsed(insights.SplitSerializer, request.data))
        code = status.HTTP_202_ACCEPTED if dataset.is_being_divided else status.HTTP_200_OK
        return Response(DatasetSerializer(dataset).data, status=code)

    @extend_schema(request=insights.FixSerializer, responses={201: DatasetSerializer}, summary="A new version with fixes applied")
    @action(detail=True, methods=["post"])
    def fix(self, request: Request, pk: str) -> Response:
        dataset = self.get_object()
        made = fix_dataset(dataset=dataset, by=self._owner(), **self._parsed(insights.FixSerializer, request.data))
        return Response(DatasetSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=insights.VersionSerializer(many=True), summary="The history, newest first")
    @action(detail=True, pagination_class=None, filter_backends=[])
    def versions(self, request: Request, pk: str) -> Response:
        return Response(insights.VersionSerializer(list_versions(dataset=self.get_object()), many=True).data)

    @extend_schema(
        parameters=[insights.DiffQuerySerializer],
        responses=insights.ChangesSerializer,
        summary="What changed from one version to another",
    )
    @action(detail=True, pagination_class=None, filter_backends=[])
    def diff(self, request: Request, pk: str) -> Response:
        after = self.get_object()
        asked = self._parsed(insights.DiffQuerySerializer, request.query_params)
        before = self.get_queryset().filter(pk=asked.pop("with")).first()
        if before is None:
            raise invalid_field("with", "There is no such version.")
        return Response(insights.ChangesSerializer(diff_versions(before=before, after=after, **asked)).data)

    @extend_schema(methods=["GET"], responses=insights.GatesSerializer, summary="The quality gates that hold for a dataset")
    @extend_schema(
        methods=["PUT"],
        request=insights.OwnGatesSerializer,
        responses=insights.GatesSerializer,
        summary="Give a dataset gates of its own",
    )
    @action(detail=True, methods=["get", "put"])
    def gates(self, request: Request, pk: str) -> Response:
        dataset = self.get_object()
        if request.method == "PUT":
            given = self._parsed(insights.OwnGatesSerializer, request.data)
            set_gates(owner=self._owner(), dataset=dataset, gates=given["gates"])
        return Response({"gates": gates_of(dataset), "own": dataset.gates is not None})

    @extend_schema(
        methods=["GET"],
        operation_id="own_gates_retrieve",
        responses=insights.GatesSerializer,
        summary="Your quality gates, for datasets without their own",
    )
    @extend_schema(
        methods=["PUT"],
        operation_id="own_gates_update",
        request=insights.OwnGatesSerializer,
        responses=insights.GatesSerializer,
        summary="Set your quality gates",
    )
    @action(detail=False, methods=["get", "put"], url_path="gates", url_name="own-gates")
    def own_gates(self, request: Request) -> Response:
        owner = self._owner()
        if request.method == "PUT":
            set_gates(owner=owner, gates=self._parsed(insights.OwnGatesSerializer, request.data)["gates"])
        return Response({"gates": gates_of_owner(owner), "own": True})

    @extend_schema(request=insights.MixtureSerializer, responses={201: DatasetSerializer}, summary="Combine datasets with weights")
    @action(detail=False, methods=["post"])
    def mixture(self, request: Request) -> Response:
        asked = self._parsed(insights.MixtureSerializer, request.data)
        made = mix_datasets(owner=self._owner(), **asked | {"parts": [self._part(part) for part in asked["parts"]]})
        return Response(DatasetSerializer(made).data, status=status.HTTP_201_CREATED)

    def _part(self, asked: dict[str, Any]) -> Part:
        dataset = self.get_queryset().filter(pk=asked["dataset_id"]).first()
        if dataset is None:
            raise invalid_field("parts", f"There is no dataset {asked['dataset_id']}.")
        return Part(dataset, asked["weight"])

    @extend_schema(
        parameters=[insights.StatisticsQuerySerializer],
        responses={200: insights.StatisticsSerializer, 202: insights.StatisticsSerializer},
        summary="Rows, turns and tokens; 202 while a worker still counts",
    )
    @action(detail=True, pagination_class=None, filter_backends=[])
    def statistics(self, request: Request, pk: str) -> Response:
        dataset = self.get_object()
        asked = self._parsed(insights.StatisticsQuerySerializer, request.query_params)
        model_id, measurement = asked.pop("model_id", None), None
        if model_id is not None:
            measurement = await_measurement(measurement=measure_dataset(dataset=dataset, model_id=model_id), seconds=COUNT_WAIT)
        found = read_statistics(dataset=dataset, measurement=measurement, **asked)
        code = status.HTTP_200_OK if found["status"] == "done" else status.HTTP_202_ACCEPTED
        return Response(insights.StatisticsSerializer(found).data, status=code)

    @extend_schema(request=None, responses={202: insights.StatisticsSerializer}, summary="Stop counting tokens")
    @action(detail=True, methods=["post"], url_path="statistics/cancel")
    def cancel_statistics(self, request: Request, pk: str) -> Response:
        dataset = self.get_object()
        running = dataset.measurements.order_by("-updated_at", "-pk").first()
        if running is None:
            raise Conflict("Nothing is being counted.")
        found = read_statistics(dataset=dataset, measurement=cancel_measurement(measurement=running))
        return Response(insights.StatisticsSerializer(found).data, status=status.HTTP_202_ACCEPTED)

    def _owner(self) -> User:
        return cast(User, self.request.user)  # the permission classes let nobody else in

    def _parsed(self, serializer: type[drf.Serializer], data: Any, **options: Any) -> dict[str, Any]:
        form = serializer(data=data, **options)
        form.is_valid(raise_exception=True)
        return form.validated_data


def _outcome(outcome: Uploaded) -> dict[str, Any]:
    if outcome.error is None:
        note = {"note": outcome.note} if outcome.note else {}
        dataset = {"dataset": DatasetSerializer(outcome.dataset).data} if outcome.dataset else {}
        return {"filename": outcome.filename, "ok": True, **dataset, **note}
    error = {"detail": outcome.error.message, "code": outcome.error.code}
    fields = {"fields": outcome.error.fields} if outcome.error.fields else {}
    return {"filename": outcome.filename, "ok": False, "error": error | fields}
