"""The settings page of what one has elsewhere: the Hub, Modal, experiment trackers."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from accounts.forms import MlflowForm, ModalForm, TokenForm, WandbForm
from accounts.models import Credential
from accounts.person import person
from accounts.services.check_credential import check_credential
from accounts.services.forget_hf_token import forget_hf_token
from accounts.services.forget_modal_tokens import forget_modal_tokens
from accounts.services.forget_tracker import forget_tracker
from accounts.services.save_hf_token import save_hf_token
from accounts.services.save_modal_tokens import save_modal_tokens
from accounts.services.save_tracker import save_tracker
from accounts.tracker_accounts import PLACES
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page

Kind = Credential.Kind
TRACKER_FORMS: dict[str, type[forms.Form]] = {Kind.WANDB: WandbForm, Kind.MLFLOW: MlflowForm}


@require_GET
def connections(request: HttpRequest) -> HttpResponse:
    return _connections(request)


@sensitive_post_parameters()
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    return _save(request, "token_form", TokenForm(request.POST), save_hf_token, "Your Hugging Face token is stored, encrypted.")


@sensitive_post_parameters()
@require_POST
def modal(request: HttpRequest) -> HttpResponse:
    return _save(request, "modal_form", ModalForm(request.POST), save_modal_tokens, "Your Modal tokens are stored, encrypted.")


@sensitive_post_parameters()
@require_POST
def tracker(request: HttpRequest, kind: str) -> HttpResponse:
    form = _form_of(kind)(request.POST)
    return _save(request, f"{kind}_form", form, save_tracker, f"{Kind(kind).label} accepts it; it is stored, encrypted.", kind=kind)


@require_POST
def token_validate(request: HttpRequest) -> HttpResponse:
    return _check(request, Kind.HUGGING_FACE, "The Hub accepts your token.", "The Hub no longer accepts your token.")


@require_POST
def modal_validate(request: HttpRequest) -> HttpResponse:
    return _check(request, Kind.MODAL, "Modal accepts your tokens.", "Modal no longer accepts your tokens.")


@require_POST
def tracker_validate(request: HttpRequest, kind: str) -> HttpResponse:
    _form_of(kind)
    name = Kind(kind).label
    return _check(request, kind, f"{name} accepts your account.", f"{name} no longer accepts your account.")


@require_POST
def token_delete(request: HttpRequest) -> HttpResponse:
    forget_hf_token(user=person(request))
    return _done(request, "Your Hugging Face token is forgotten.")


@require_POST
def modal_delete(request: HttpRequest) -> HttpResponse:
    forget_modal_tokens(user=person(request))
    return _done(request, "Your Modal tokens are forgotten.")


@require_POST
def tracker_delete(request: HttpRequest, kind: str) -> HttpResponse:
    _form_of(kind)
    forget_tracker(user=person(request), kind=kind)
    return _done(request, f"Your account at {Kind(kind).label} is forgotten.")


def _form_of(kind: str) -> type[forms.Form]:
    if kind not in TRACKER_FORMS:
        raise Http404
    return TRACKER_FORMS[kind]


def _save(request: HttpRequest, name: str, form: forms.Form, verb: Any, words: str, **more: Any) -> HttpResponse:
    if form.is_valid():
        try:
            verb(user=person(request), **form.cleaned_data, **more)
            return _done(request, words)
        except DomainError as error:
            refuse(form, error)
    return _connections(request, status=422, **{name: form})


def _check(request: HttpRequest, kind: str, good: str, bad: str) -> HttpResponse:
    try:
        valid = check_credential(user=person(request), kind=kind).valid
    except DomainError as error:  # nobody answers: nothing is known
        messages.error(request, error.message)
        return redirect("settings-connections")
    if valid:
        return _done(request, good)
    messages.error(request, f"{bad} Create a new one there and save it here.")
    return redirect("settings-connections")


def _done(request: HttpRequest, text: str) -> HttpResponse:
    messages.success(request, text)
    return redirect("settings-connections")


def _connections(request: HttpRequest, *, status: int = 200, **bound: forms.Form) -> HttpResponse:
    """The page; a form that was refused comes back as it was sent."""
    stored = {credential.kind: credential for credential in person(request).credentials.all()}
    context: dict[str, Any] = {"token_form": TokenForm(), "modal_form": ModalForm()}
    context |= {f"{kind}_form": form(initial=_shown(stored.get(kind))) for kind, form in TRACKER_FORMS.items()}
    context |= {"credential": stored.get(Kind.HUGGING_FACE), "modal_credential": stored.get(Kind.MODAL)}
    context |= bound
    names = [(kind, Kind(kind).label, stored.get(kind), context[f"{kind}_form"]) for kind in TRACKER_FORMS]
    return render_page(request, "accounts/connections.html", context | {"trackers": names}, status=status)


def _shown(credential: Credential | None) -> dict[str, str]:
    return {name: credential.info.get(name, "") for name in PLACES} if credential else {}
