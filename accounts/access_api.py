"""/api/auth/api-keys: keys for scripts."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import serializers
from accounts.access_models import ApiKey
from accounts.api import NOTHING, parsed
from accounts.authentication import NotWithApiKey
from accounts.person import person
from accounts.services.create_api_key import create_api_key
from accounts.services.revoke_api_key import revoke_api_key


class ApiKeysView(APIView):
    permission_classes = [IsAuthenticated, NotWithApiKey]

    @extend_schema(responses=serializers.ApiKeySerializer(many=True), operation_id="auth_api_keys")
    def get(self, request: Request) -> Response:
        """Your keys, without the keys themselves."""
        return Response(serializers.ApiKeySerializer(ApiKey.objects.for_user(person(request)), many=True).data)

    @extend_schema(
        request=serializers.NewApiKeySerializer,
        responses={201: serializers.MadeApiKeySerializer},
        operation_id="auth_api_key_create",
    )
    def post(self, request: Request) -> Response:
        """Make a key. `key` is shown this once; send it as `Authorization: Bearer aift_…`."""
        key, text = create_api_key(user=person(request), **parsed(serializers.NewApiKeySerializer, request))
        return Response({**serializers.ApiKeySerializer(key).data, "key": text}, status=status.HTTP_201_CREATED)


class ApiKeyView(APIView):
    permission_classes = [IsAuthenticated, NotWithApiKey]

    @extend_schema(responses={204: NOTHING}, operation_id="auth_api_key_revoke")
    def delete(self, request: Request, pk: int) -> Response:
        """Revoke a key: it opens nothing from now on."""
        revoke_api_key(key=get_object_or_404(ApiKey.objects.for_user(person(request)), pk=pk))
        return Response(status=status.HTTP_204_NO_CONTENT)
