"""/api/auth/trackers and the checks of stored tokens."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import NOTHING, parsed
from accounts.authentication import NotWithApiKey
from accounts.models import Credential
from accounts.person import person
from accounts.serializers import CredentialSerializer
from accounts.services.check_credential import check_credential
from accounts.services.forget_tracker import forget_tracker
from accounts.services.save_tracker import save_tracker
from accounts.tracker_accounts import KINDS, PLACES

KIND = OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=[str(kind) for kind in KINDS])


class SaveTrackerSerializer(serializers.Serializer):
    """`wandb`: secret is the API key. `mlflow`: secret is a password (with `username`) or a token."""

    secret = serializers.CharField(max_length=1024, required=False, allow_blank=True, write_only=True)
    url = serializers.CharField(max_length=300, required=False, allow_blank=True, help_text="Needed for mlflow.")
    username = serializers.CharField(max_length=200, required=False, allow_blank=True)
    entity = serializers.CharField(max_length=100, required=False, allow_blank=True, help_text="A Weights & Biases team.")
    project = serializers.CharField(max_length=100, required=False, allow_blank=True, help_text="Or the MLflow experiment.")


class TrackerAccountSerializer(serializers.Serializer):
    """What is known about the stored account. Never its key."""

    connected = serializers.BooleanField()
    valid = serializers.BooleanField(allow_null=True)
    url = serializers.CharField()
    username = serializers.CharField()
    entity = serializers.CharField()
    project = serializers.CharField()
    checked_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Credential | None) -> dict[str, Any]:
        info = instance.info if instance else {}
        told = {name: info.get(name, "") for name in PLACES}
        known = {"valid": instance.valid, "checked_at": instance.checked_at} if instance else {"valid": None, "checked_at": None}
        return super().to_representation({"connected": instance is not None, **known, **told})


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise Http404
    return kind


class TrackerView(APIView):
    permission_classes = [IsAuthenticated, NotWithApiKey]

    @extend_schema(parameters=[KIND], responses=TrackerAccountSerializer, operation_id="auth_tracker")
    def get(self, request: Request, kind: str) -> Response:
        """What is known about your account at a tracker."""
        credential = person(request).credentials.filter(kind=_known(kind)).first()
        return Response(TrackerAccountSerializer().to_representation(credential))

    @extend_schema(
        parameters=[KIND], request=SaveTrackerSerializer, responses=TrackerAccountSerializer, operation_id="auth_tracker_save"
    )
    def post(self, request: Request, kind: str) -> Response:
        """Ask the tracker whether it accepts them, then store them encrypted."""
        values = parsed(SaveTrackerSerializer, request)
        return Response(TrackerAccountSerializer(save_tracker(user=person(request), kind=_known(kind), **values)).data)

    @extend_schema(parameters=[KIND], responses={204: NOTHING}, operation_id="auth_tracker_forget")
    def delete(self, request: Request, kind: str) -> Response:
        """Forget the account; what was sent stays there."""
        forget_tracker(user=person(request), kind=_known(kind))
        return Response(status=status.HTTP_204_NO_CONTENT)


class TrackerValidateView(APIView):
    permission_classes = [IsAuthenticated, NotWithApiKey]

    @extend_schema(parameters=[KIND], request=None, responses=TrackerAccountSerializer, operation_id="auth_tracker_validate")
    def post(self, request: Request, kind: str) -> Response:
        """Ask the tracker again whether it accepts the stored account."""
        return Response(TrackerAccountSerializer(check_credential(user=person(request), kind=_known(kind))).data)


class ModalValidateView(APIView):
    permission_classes = [IsAuthenticated, NotWithApiKey]

    @extend_schema(request=None, responses=CredentialSerializer, operation_id="auth_modal_tokens_validate")
    def post(self, request: Request) -> Response:
        """Ask Modal again whether it accepts the stored tokens."""
        return Response(CredentialSerializer(check_credential(user=person(request), kind=Credential.Kind.MODAL)).data)
