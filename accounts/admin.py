"""What an operator sees of people and of the secrets they stored (never the secret)."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts.models import Credential, User, UserLimits


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ["username", "email", "is_owner", "is_staff", "is_active", "date_joined", "last_login"]
    readonly_fields = ["is_owner", "date_joined", "last_login"]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["username", "email", "usable_password", "password1", "password2"]})]


@admin.register(UserLimits)
class UserLimitsAdmin(admin.ModelAdmin):
    """Numbers of their own for people who need others than everybody's (settings)."""

    list_display = ["user", "running_jobs", "queued_jobs", "storage_bytes"]
    search_fields = ["user__username", "user__email"]
    autocomplete_fields = ["user"]


@admin.register(Credential)
class CredentialAdmin(admin.ModelAdmin):
    list_display = ["owner", "kind", "last4", "valid", "checked_at"]
    list_filter = ["kind", "valid"]
    search_fields = ["owner__username", "owner__email"]
    fields = ("owner", "kind", "last4", "valid", "info", "checked_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@login_not_required
def _sign_in(request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
    """One door for passwords: the admin's own sign-in form would know nothing of our limits."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


admin.site.login = _sign_in  # type: ignore[method-assign]
