"""Sign-in, sign-out, registration and settings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings as configuration
from django.contrib import messages
from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.forms import PasswordForm, ProfileForm, RegisterForm, SignInForm, ThemeForm
from accounts.lockout import count_failure, forget_failures, seconds_locked
from accounts.models import User
from accounts.person import person
from accounts.services.change_password import change_password
from accounts.services.register_user import may_register, register_user
from accounts.services.update_profile import update_profile
from accounts.sessions import rename
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from finetune.core.throttling import LoginThrottle, RegisterThrottle, seconds_to_wait

BACKEND = "accounts.backends.UsernameOrEmailBackend"


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Leads on to `?next=` (this site only) or home; to registration while nobody has an account."""
    if request.user.is_authenticated:
        return redirect(_next(request))
    if not User.objects.exists():
        return redirect("register")
    form = SignInForm(request.POST or None)
    context = {"form": form, "next": _next(request), "may_register": may_register()}
    if request.method == "GET":
        return render_page(request, "accounts/sign_in.html", context)
    if wait := seconds_to_wait(request, LoginThrottle):
        return _too_often(request, "accounts/sign_in.html", context, wait)
    if form.is_valid():
        name = form.cleaned_data["username"]
        if wait := seconds_locked(request, name):
            return _too_often(request, "accounts/sign_in.html", context, wait)
        if user := authenticate(request, **form.cleaned_data):
            forget_failures(request, name)
            login(request, user)
            return redirect(_next(request))
        count_failure(request, name)
        form.add_error(None, "Wrong username or password.")
    return render_page(request, "accounts/sign_in.html", context, status=422)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """A new account, signed in at once. `first_user` says that this one will own the installation."""
    if request.user.is_authenticated:
        return redirect("home")
    invitation = request.POST.get("invitation") or request.GET.get("invitation") or ""
    form = RegisterForm(request.POST or None, initial={"invitation": invitation})
    context = {"form": form, "first_user": not User.objects.exists(), "closed": not may_register(invitation)}
    context["registration"] = configuration.REGISTRATION
    if request.method == "GET":
        return render_page(request, "accounts/register.html", context)
    if wait := seconds_to_wait(request, RegisterThrottle):
        return _too_often(request, "accounts/register.html", context, wait)
    if form.is_valid():
        try:
            user = register_user(**form.cleaned_data)
        except DomainError as error:
            refuse(form, error)
        else:
            login(request, user, backend=BACKEND)
            return redirect("home")
    return render_page(request, "accounts/register.html", context, status=422)


@require_GET
def settings(request: HttpRequest) -> HttpResponse:
    return _settings(request)


@require_POST
def profile(request: HttpRequest) -> HttpResponse:
    form = ProfileForm(request.POST)
    if form.is_valid() and _done(form, update_profile, user=person(request), **form.cleaned_data):
        return _saved(request, "Your profile is saved.")
    return _settings(request, status=422, profile_form=form)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Asked by the switch of every page, and by the form where there is no JavaScript."""
    form = ThemeForm(request.POST)
    if form.is_valid() and _done(form, update_profile, user=person(request), **form.cleaned_data):
        return (
            _saved(request, "The pages look like that in every browser of yours.")
            if request.POST.get("back")
            else HttpResponse(status=204)
        )
    return _settings(request, status=422, theme_form=form)


@sensitive_post_parameters()
@require_POST
def password(request: HttpRequest) -> HttpResponse:
    form = PasswordForm(request.POST)
    if wait := seconds_to_wait(request, LoginThrottle):
        form.add_error(None, _wait_text(wait))
        return _settings(request, status=429, password_form=form)
    key = request.session.session_key or ""
    if form.is_valid() and _done(form, change_password, user=person(request), session_key=key, **form.cleaned_data):
        update_session_auth_hash(request, person(request))
        rename(key, request.session.session_key)
        return _saved(request, "Your password is changed. Every other session has ended.")
    return _settings(request, status=422, password_form=form)


def _done(form: forms.Form, verb: Any, **values: Any) -> bool:
    """Call the verb; its refusal goes into the form."""
    try:
        verb(**values)
    except DomainError as error:
        refuse(form, error)
        return False
    return True


def _settings(request: HttpRequest, *, status: int = 200, **bound: forms.Form) -> HttpResponse:
    """The settings page; forms that were refused come back as they were sent."""
    user = User.objects.get(pk=person(request).pk)
    context = {
        "profile_form": ProfileForm(initial={name: getattr(user, name) for name in ProfileForm.base_fields}),
        "password_form": PasswordForm(),
        "theme_form": ThemeForm(initial={"theme": user.theme}),
    }
    return render_page(request, "accounts/settings.html", context | bound, status=status)


def _saved(request: HttpRequest, text: str) -> HttpResponse:
    messages.success(request, text)
    return redirect("settings")


def _too_often(request: HttpRequest, template: str, context: dict[str, Any], wait: int) -> HttpResponse:
    context["form"].add_error(None, _wait_text(wait))
    response = render_page(request, template, context, status=429)
    response["Retry-After"] = str(wait)
    return response


def _wait_text(wait: int) -> str:
    return f"Too many attempts. Try again in {wait} s."


def _next(request: HttpRequest) -> str:
    """Where to go after sign-in: `next` of the form or the address, if it is on this site."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if safe else reverse("home")
