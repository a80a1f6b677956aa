"""The templates somebody can choose: the built-in ones, then the own ones, under one kind of id."""

from __future__ import annotations

from typing import Any

from training.builtin_templates import BuiltIn, built_in_templates
from training.models import JobTemplate

Template = BuiltIn | JobTemplate


def list_templates(user: Any, *, method: str = "") -> list[Template]:
    """Built-in ones first, then the user's by name; only those of one method when it is named."""
    own = JobTemplate.objects.for_user(user)
    found: list[Template] = [*built_in_templates(), *own]
    return [item for item in found if method in ("", item.method)]


def find_template(user: Any, template_id: str) -> Template | None:
    """The template with this id if the user may use it. Ids of own ones are numbers, those of built-in ones words."""
    if template_id.isdecimal():
        return JobTemplate.objects.for_user(user).filter(pk=template_id).first() if len(template_id) < 19 else None
    return next((item for item in built_in_templates() if item.id == template_id), None)


def free_name(user: Any, name: str) -> str:
    """The name, with a number where one's template has it already."""
    taken = {item.name for item in list_templates(user)}
    tries = (f"{name[:190]} {number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(text for text in tries if text not in taken)
