"""What a person's new jobs begin with."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from accounts.models import User
from finetune.core.errors import Invalid, invalid_field
from training import prices
from training.choices import checked_trackers
from training.engine.spec import METHODS, check_config, defaults_for
from training.executors import EXECUTORS
from training.job_defaults import problem
from training.tracker_models import JobDefaults


def save_job_defaults(
    *,
    owner: User,
    method: str = "",
    executor: str = "",
    hardware: str = "",
    report_to: Collection[str] = (),
    config: dict[str, Any] | None = None,
) -> JobDefaults:
    """Store them in place of the earlier ones. Everything may be left empty, which means what everybody's jobs begin with.

    Invalid, naming the field: an unknown method, executor, hardware or tracker; an option that is unknown, or has a value that no
    method takes.
    """
    if method and method not in METHODS:
        raise invalid_field("method", f"Unknown method {method!r}. Choose one of: {', '.join(METHODS)}.")
    if executor and executor not in EXECUTORS:
        raise invalid_field("executor", f"There is no executor {executor!r}. Choose one of: {', '.join(EXECUTORS)}.")
    if hardware and prices.find_hardware(executor, hardware) is None:
        raise invalid_field("hardware", f"There is no “{hardware}” at {executor or 'this machine'}.")
    values = {
        "method": method,
        "executor": executor,
        "hardware": hardware,
        "report_to": checked_trackers(owner, report_to),
        "config": _checked(config or {}),
    }
    return JobDefaults.objects.update_or_create(owner=owner, defaults=values)[0]


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    """Each value as the first method stores that takes it."""
    checked, errors = {}, {}
    for name, value in config.items():
        methods = [method for method in METHODS if name in defaults_for(method)]
        told = {method: problem(method, name, value) for method in methods}
        fitting = next((method for method, words in told.items() if not words), None)
        if fitting:
            checked[name] = check_config(fitting, {name: value})[name]
        else:
            errors[name] = [next(iter(told.values()), "Unknown option.")]
    if errors:
        name, messages = next(iter(errors.items()))
        raise Invalid(f"{name}: {messages[0]}", fields=errors)
    return checked
