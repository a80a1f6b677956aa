"""What operators see of people also says how much of the disk their files take."""

from __future__ import annotations

from django.contrib import admin

from accounts.admin import UserAdmin
from accounts.models import User
from finetune.core.templatetags.ui import size
from finetune.operations.storage_used import storage_of, storage_of_everybody

admin.site.unregister(User)


@admin.register(User)
class UserWithStorageAdmin(UserAdmin):
    """accounts' own, one column richer: that app can't see the files of those above it."""

    list_display = [*UserAdmin.list_display, "storage"]
    readonly_fields = [*UserAdmin.readonly_fields, "storage_by_kind"]
    fieldsets = [*(UserAdmin.fieldsets or []), ("Storage", {"fields": ["storage_by_kind"]})]

    @admin.display(description="storage")
    def storage(self, user: User) -> str:
        return size(storage_of_everybody().get(user.pk, {}).get("total", 0))

    @admin.display(description="on disk")
    def storage_by_kind(self, user: User) -> str:
        return ", ".join(f"{kind} {size(number)}" for kind, number in storage_of(user).items())
