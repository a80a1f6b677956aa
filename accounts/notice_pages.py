"""The page of what a person was told, and the settings of where they are told it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.forms import ChannelsForm
from accounts.notice_models import Notification, NotificationChannels
from accounts.person import person
from accounts.services.notify import notify
from accounts.services.read_notifications import read_notifications
from accounts.services.save_channels import save_channels
from finetune.core.errors import DomainError
from finetune.core.pages import page_of, refuse, render_page


@require_GET
def notifications(request: HttpRequest) -> HttpResponse:
    rows = Notification.objects.for_user(person(request))
    return render_page(request, "accounts/notifications.html", {"page": page_of(request, rows)})


@require_POST
def read(request: HttpRequest) -> HttpResponse:
    read_notifications(user=person(request))
    return redirect("notifications")


@require_GET
def channels(request: HttpRequest) -> HttpResponse:
    return _channels(request)


@never_cache
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Shows the key of a new webhook in this one answer."""
    form = ChannelsForm(request.POST)
    if form.is_valid():
        try:
            _, secret = save_channels(user=person(request), **form.cleaned_data)
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, "Saved.")
            return _channels(request, secret=secret) if secret else redirect("settings-notifications")
    return _channels(request, form, status=422)


@require_POST
def test(request: HttpRequest) -> HttpResponse:
    notify(user=person(request), kind=Notification.Kind.TEST, title="A test", text="You asked for it in the settings.")
    messages.success(request, "A test is on its way to the page and to your channels.")
    return redirect("settings-notifications")


def _channels(request: HttpRequest, form: forms.Form | None = None, *, status: int = 200, **context: Any) -> HttpResponse:
    stored = NotificationChannels.objects.filter(owner=person(request)).first()
    if form is None:
        kinds = [str(kind) for kind, _ in ChannelsForm.KINDS]
        initial = {name: getattr(stored, name) for name in ("kinds", "email", "webhook_url")} if stored else {"kinds": kinds}
        form = ChannelsForm(initial=initial)
    last = Notification.objects.for_user(person(request)).filter(webhook_tries__gt=0).first()
    context |= {"form": form, "stored": stored, "last": last, "mail": bool(settings.EMAIL_HOST)}
    return render_page(request, "accounts/channels.html", context, status=status)
