"""What a person's new jobs begin with, read for one job."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from training.engine.spec import METHODS, SpecError, check_config, defaults_for
from training.tracker_models import JobDefaults


def defaults_of(owner: User) -> JobDefaults:
    """The stored ones; empty ones (unsaved) for who has none."""
    return JobDefaults.objects.filter(owner=owner).first() or JobDefaults(owner=owner)


def config_for(defaults: JobDefaults, method: str) -> dict[str, Any]:
    """The options that mean something to this method and that it takes; the others wait for a job they fit."""
    if method not in METHODS:
        return {}
    return {
        name: value for name, value in defaults.config.items() if name in defaults_for(method) and not problem(method, name, value)
    }


def problem(method: str, name: str, value: Any) -> str:
    """Why the method would not take this value for this option; empty when it would."""
    try:
        check_config(method, {name: value})
    except SpecError as error:
        return error.fields.get(name, [""])[0]
    return ""
