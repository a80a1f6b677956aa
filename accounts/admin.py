"""What an operator sees of people and of the secrets they stored (never the secret)."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts.models import ApiKey, AuditEntry, Credential, Invitation, User, UserLimits
from accounts.services.end_sign_ins import end_sign_ins
from accounts.services.set_role import set_role


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Roles: a member uses the product, an operator runs it (this admin, everybody's queue). The owner stays an operator."""

    list_display = ["username", "email", "role", "is_active", "date_joined", "last_login"]
    list_filter = ["is_staff", "is_active"]
    actions = ["make_operator", "make_member", "sign_out_everywhere"]
    readonly_fields = ["is_owner", "date_joined", "last_login"]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["username", "email", "usable_password", "password1", "password2"]})]

    @admin.display(description="role", ordering="is_staff")
    def role(self, user: User) -> str:
        return "owner" if user.is_owner else "operator" if user.is_staff else "member"

    @admin.action(description="Make operators of them")
    def make_operator(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self._set_role(request, users, operator=True)

    @admin.action(description="Make members of them")
    def make_member(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self._set_role(request, users.filter(is_owner=False).exclude(pk=request.user.pk or 0), operator=False)

    def _set_role(self, request: HttpRequest, users: QuerySet[User], *, operator: bool) -> None:
        for user in users:
            set_role(user=user, operator=operator)
        self.message_user(request, f"{len(users)} changed. The owner, and you yourself, stay what they are.")

    @admin.action(description="Sign them out everywhere")
    def sign_out_everywhere(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in users:
            end_sign_ins(user=user, everything=True)


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


class ReadOnly(admin.ModelAdmin):
    """To look at. What has happened can't be edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ["at", "actor_name", "action", "target", "address"]
    list_filter = ["action", "at"]
    search_fields = ["actor_name", "target", "address", "action"]
    date_hierarchy = "at"


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    """Keys can be revoked here (deleted), not read."""

    list_display = ["owner", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"]
    search_fields = ["owner__username", "name", "prefix"]
    exclude = ["digest"]

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return True


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):
    """Saving a new one shows its link, once. REGISTRATION says whether one is needed."""

    list_display = ["email", "operator", "invited_by", "created_at", "expires_at", "used_by"]
    list_filter = ["operator", ("used_at", admin.EmptyFieldListFilter)]
    readonly_fields = ["invited_by", "used_by", "used_at"]

    def save_model(self, request: HttpRequest, obj: Invitation, form: object, change: bool) -> None:
        if not change:
            secret = obj.renew_secret()
            obj.invited_by_id = request.user.pk
            link = request.build_absolute_uri(f"{reverse('register')}?invitation={secret}")
            self.message_user(request, f"Give this link to the person; it can't be shown again: {link}")
        super().save_model(request, obj, form, change)


@login_not_required
def _sign_in(request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
    """One door for passwords: the admin's own sign-in form would know nothing of our limits."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


admin.site.login = _sign_in  # type: ignore[method-assign]
