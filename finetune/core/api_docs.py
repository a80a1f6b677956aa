"""Swagger UI and ReDoc from our own files: no inline script, nothing of another host."""

from __future__ import annotations

import secrets
from typing import Any

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response


class SwaggerPage(SpectacularSwaggerView):
    """/api/docs: try every operation, as whoever is signed in."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    url_name = "api-schema"
    template_name = "api_docs/swagger.html"


class RedocPage(SpectacularRedocView):
    """/api/redoc: to read. ReDoc makes its styles in the browser; the policy lets them through by a nonce of this one answer."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    url_name = "api-schema"
    template_name = "api_docs/redoc.html"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().get(request, *args, **kwargs)
        request._request.style_nonce = secrets.token_urlsafe(16)  # type: ignore[attr-defined]
        response.data["nonce"] = request._request.style_nonce  # type: ignore[attr-defined]
        return response
