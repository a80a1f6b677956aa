"""/healthz: this process is up. /readyz: database, broker and at least one worker answer."""

import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse

from celery_worker import app


def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 with every check true, else 503 with the ones that failed."""
    checks = {"database": _database(), "broker": _broker()}
    checks["worker"] = checks["broker"] and _worker()
    ready = all(checks.values())
    return JsonResponse({"status": "ready" if ready else "not ready", **checks}, status=200 if ready else 503)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except Exception:  # noqa: BLE001 - whatever the driver raises, the answer is the same: not ready
        return False


def _broker() -> bool:
    try:
        return bool(redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2).ping())
    except redis.RedisError:
        return False


def _worker() -> bool:
    try:
        return bool(app.control.ping(timeout=1.0, limit=1))
    except Exception:  # noqa: BLE001 - kombu raises transport-specific errors; all mean "no answer"
        return False
