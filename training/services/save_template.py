"""A method and its options under a name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import User
from finetune.core.errors import invalid_field
from training.choices import checked_name
from training.engine.spec import METHODS, defaults_for
from training.models import JobTemplate
from training.spec_fields import checked_config

DESCRIPTION_LENGTH = 500


def save_template(*, owner: User, name: str, method: str, config: dict[str, Any], description: str = "") -> JobTemplate:
    """A new template of `owner`. Of the config only what differs from the method's defaults is kept, so that a template goes
    along when a default gets better.

    Invalid, naming the field: a name that is missing, too long or taken by another of the owner's templates; an unknown
    method; an option that is unknown or out of range; a description of more than 500 characters.
    """
    values = template_values(name=name, method=method, config=config, description=description)
    with name_taken(values["name"]):
        return JobTemplate.objects.create(owner=owner, **values)


def template_values(*, name: str, method: str, config: dict[str, Any], description: str) -> dict[str, Any]:
    """The columns of a template, checked."""
    if method not in METHODS:
        raise invalid_field("method", f"Unknown method {method!r}. Choose one of: {', '.join(METHODS)}.")
    if len(description) > DESCRIPTION_LENGTH:
        raise invalid_field("description", f"At most {DESCRIPTION_LENGTH} characters.")
    defaults = defaults_for(method)
    changed = {key: value for key, value in checked_config(method, config).items() if value != defaults[key]}
    return {"name": checked_name(name), "method": method, "config": changed, "description": description.strip()}


@contextmanager
def name_taken(name: str) -> Iterator[None]:
    """Says in words what the unique constraint on a template's name refuses."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise invalid_field("name", f"You have a template “{name}” already. Choose another name.") from error
