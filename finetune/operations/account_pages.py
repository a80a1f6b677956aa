"""The page on which a person deletes their account."""

from __future__ import annotations

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.forms import DeleteAccountForm
from accounts.person import person
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from finetune.core.throttling import LoginThrottle, seconds_to_wait
from finetune.operations.services.delete_account import delete_account
from finetune.operations.services.measure_storage import measure_storage


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest) -> HttpResponse:
    """Says what will go; the password makes it happen."""
    user = person(request)
    form = DeleteAccountForm(request.POST or None)
    if request.method == "POST" and (wait := seconds_to_wait(request, LoginThrottle)):
        form.add_error(None, f"Too many attempts. Try again in {wait} s.")
    elif request.method == "POST" and form.is_valid():
        try:
            delete_account(user=user, password=form.cleaned_data["password"])
        except DomainError as error:
            refuse(form, error)
        else:
            logout(request)
            return redirect("sign-in")
    used = measure_storage(user=user)[user.pk]["total"]
    context = {"form": form, "used": used, "active": user.jobs.active().count()}  # type: ignore[attr-defined]
    return render_page(request, "accounts/delete.html", context, status=422 if form.errors else 200)
