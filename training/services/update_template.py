"""Changes to one's own template."""

from __future__ import annotations

from typing import Any

from finetune.core.errors import Conflict
from training.models import JobTemplate
from training.services.save_template import name_taken, template_values
from training.template_list import Template

FIELDS = ("name", "description", "method", "config")


def update_template(*, template: Template, **changes: Any) -> JobTemplate:
    """Change `name`, `description`, `method` or `config` (as a whole). Conflict for a built-in one; refuses what save_template refuses."""
    own = own_template(template, "changed")
    values = template_values(**{field: changes.get(field, getattr(own, field)) for field in FIELDS})
    with name_taken(values["name"]):
        for field, value in values.items():
            setattr(own, field, value)
        own.save()
    return own


def own_template(template: Template, word: str) -> JobTemplate:
    """The template if it is somebody's; Conflict for a built-in one."""
    if not isinstance(template, JobTemplate):
        raise Conflict(f"“{template.name}” is built in and can't be {word}. Save a copy under another name.", code="built_in")
    return template
