"""Remove one's own template."""

from __future__ import annotations

from training.services.update_template import own_template
from training.template_list import Template


def delete_template(*, template: Template) -> None:
    """Delete it; jobs made from it keep their values. Conflict for a built-in one."""
    own_template(template, "deleted").delete()
