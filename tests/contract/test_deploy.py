"""Under production's settings Django's own check for deployments finds nothing, and answers carry the headers it asks for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.test import Client

PRODUCTION = {
    "HTTPS": "true",
    "ALLOWED_HOSTS": "finetune.example.org",
    "TRUSTED_PROXIES": "1",
    "DJANGO_SETTINGS_MODULE": "finetune.settings",
}


def test_check_deploy_finds_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, **PRODUCTION, "DATA_DIR": str(tmp_path)}
    for name in ("DEBUG", "SECRET_KEY"):
        environment.pop(name, None)
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    answer = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "no issues" in answer.stdout


def test_headers_and_cookies_over_https(db: None, settings) -> None:
    settings.SECURE_HSTS_SECONDS, settings.SECURE_SSL_REDIRECT = 31536000, True
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    assert Client().get("/register").status_code == 301
    assert Client().get("/healthz").status_code == 200  # a probe inside the cluster speaks plain HTTP
    answer = Client().get("/register", secure=True)
    assert answer["Strict-Transport-Security"].startswith("max-age=31536000")
    assert answer["X-Frame-Options"] == "DENY" and "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert answer["Referrer-Policy"] == "same-origin" and answer["X-Content-Type-Options"] == "nosniff"
    assert "camera=()" in answer["Permissions-Policy"] and answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    cookie = answer.cookies["csrftoken"]
    assert cookie["secure"] and cookie["httponly"] and cookie["samesite"] == "Lax"
