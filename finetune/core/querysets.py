"""Ownership is decided here and nowhere else."""

from __future__ import annotations

from typing import Any, Self

from django.db import models


class OwnedQuerySet(models.QuerySet):
    """Rows with an `owner`. Every page, API view, socket and form choice starts from `for_user`."""

    def for_user(self, user: Any) -> Self:
        """The rows this user may see and change; none for anonymous visitors."""
        return self.filter(owner=user) if user.is_authenticated else self.none()

    def for_operator(self, user: Any) -> Self:
        """For what operators do to other people's rows: all of them; for everybody else their own."""
        return self.all() if user.is_authenticated and user.is_staff else self.for_user(user)


class StatusField(models.CharField):
    """A short word out of `choices`, indexed because lists filter by it."""

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("max_length", 20)
        kwargs.setdefault("db_index", True)
        super().__init__(*args, **kwargs)


class Lifecycle(models.Model):
    """A row with a `status` that moves only by compare-and-swap (select_for_update is a no-op on SQLite)."""

    class Meta:
        abstract = True

    def move(self, to: str, *, when: str | tuple[str, ...], **values: Any) -> bool:
        """Set the status to `to` (and `values`) if it is one of `when` now; True if this caller made the move."""
        states = (when,) if isinstance(when, str) else when
        rows: Any = type(self)._default_manager  # `status` is a subclass's field
        won = rows.filter(pk=self.pk, status__in=states).update(status=to, **values)
        self.refresh_from_db(fields=["status", *values])
        return won == 1

    move.alters_data = True  # type: ignore[attr-defined]  # templates must not call it
