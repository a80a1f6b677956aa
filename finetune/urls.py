"""The whole URL map. Each app lists its own routes in its urls.py as `pages`, `api` and `websocket`."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny

import accounts.urls
import datasets_app.urls
import finetune.dashboard.urls
import finetune.openai.urls
import finetune.operations.urls
import models_app.urls
import training.urls
from finetune import health
from finetune.core.api_docs import RedocPage, SwaggerPage

urlpatterns = [
    path("healthz", login_not_required(health.healthz), name="healthz"),
    path("readyz", login_not_required(health.readyz), name="readyz"),
    path("admin/", admin.site.urls),
    path("", include(finetune.operations.urls.pages)),
    # pages
    path("", include(finetune.dashboard.urls.pages)),
    path("", include(accounts.urls.pages)),
    path("settings/", include(training.urls.settings_pages)),
    path("datasets/", include(datasets_app.urls.pages)),
    path("models/", include(models_app.urls.pages)),
    path("models/", include(training.urls.model_pages)),
    path("training/", include(training.urls.pages)),
    # API; a trailing slash is taken off by core.middleware.OptionalApiSlash
    path("api/auth/", include(accounts.urls.api)),
    path("api/", include(finetune.operations.urls.api)),
    path("api/", include(datasets_app.urls.api)),
    path("api/", include(models_app.urls.api)),
    path("api/", include(training.urls.api)),
    path("api/dashboard/", include(finetune.dashboard.urls.api)),
    path("v1/", include(finetune.openai.urls.api)),
    path("api/schema", SpectacularAPIView.as_view(permission_classes=[AllowAny], authentication_classes=[]), name="api-schema"),
    path("api/docs", SwaggerPage.as_view(), name="api-docs"),
    path("api/redoc", RedocPage.as_view(), name="api-redoc"),
]
websocket = [*datasets_app.urls.websocket, *models_app.urls.websocket, *training.urls.websocket]
handler404 = "finetune.dashboard.pages.not_found"
handler500 = "finetune.dashboard.pages.server_error"
handler403 = "finetune.dashboard.pages.forbidden"
