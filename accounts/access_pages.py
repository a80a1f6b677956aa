"""The settings pages for what lets somebody in: sign-ins that go on, and API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.access_models import ApiKey, BrowserSession, TokenFamily
from accounts.forms import ApiKeyForm
from accounts.person import person
from accounts.services.create_api_key import create_api_key
from accounts.services.end_sign_ins import end_sign_ins
from accounts.services.revoke_api_key import revoke_api_key
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from finetune.core.throttling import DefaultThrottle, seconds_to_wait


@require_GET
def sessions(request: HttpRequest) -> HttpResponse:
    """Every browser and script that is signed in, with its last use."""
    user = person(request)
    month = timezone.now() - timedelta(days=30)
    context = {
        "sessions": BrowserSession.objects.for_user(user).filter(seen_at__gte=month),
        "families": TokenFamily.objects.for_user(user).filter(ended_at=None, seen_at__gte=month),
        "this": request.session.session_key,
    }
    return render_page(request, "accounts/sessions.html", context)


@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    return _ended(request, session=get_object_or_404(BrowserSession.objects.for_user(person(request)), pk=pk).pk)


@require_POST
def end_family(request: HttpRequest, pk: int) -> HttpResponse:
    return _ended(request, family=get_object_or_404(TokenFamily.objects.for_user(person(request)), pk=pk).pk)


@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    return _ended(request, all_but=request.session.session_key or "")


def _ended(request: HttpRequest, **what: Any) -> HttpResponse:
    number = end_sign_ins(user=person(request), **what)
    messages.success(request, "Signed out there." if number == 1 else f"Signed out in {number} places.")
    return redirect("settings-sessions")


@never_cache
@require_GET
def api_keys(request: HttpRequest) -> HttpResponse:
    return _keys(request, ApiKeyForm())


@never_cache
@require_POST
def create_key(request: HttpRequest) -> HttpResponse:
    """Shows the key in this one answer; it is in no redirect, session or log."""
    form = ApiKeyForm(request.POST)
    if wait := seconds_to_wait(request, DefaultThrottle):
        form.add_error(None, f"Too many requests. Try again in {wait} s.")
        return _keys(request, form, status=429)
    if form.is_valid():
        try:
            key, text = create_api_key(user=person(request), **_values(form))
        except DomainError as error:
            refuse(form, error)
        else:
            return _keys(request, ApiKeyForm(), made=key, text=text)
    return _keys(request, form, status=422)


def _values(form: forms.Form) -> dict[str, Any]:
    days = form.cleaned_data["days"]
    scopes = ["read", "write"] if form.cleaned_data["scope"] == "write" else ["read"]
    return {
        "name": form.cleaned_data["name"],
        "scopes": scopes,
        "expires_at": timezone.now() + timedelta(days=int(days)) if days else None,
    }


def _keys(request: HttpRequest, form: forms.Form, *, status: int = 200, **context: Any) -> HttpResponse:
    context |= {"form": form, "keys": ApiKey.objects.for_user(person(request))}
    return render_page(request, "accounts/api_keys.html", context, status=status)


@require_POST
def revoke_key(request: HttpRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(ApiKey.objects.for_user(person(request)), pk=pk)
    revoke_api_key(key=key)
    messages.success(request, f"The key “{key.name}” opens nothing any more.")
    return redirect("settings-api-keys")
