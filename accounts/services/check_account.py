"""What every account must satisfy, said field by field."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import User
from finetune.core.errors import Invalid


def check_account(*, user: User, password: str | None = None, password_field: str = "password") -> None:  # noqa: S107 (a field's name)
    """Raise Invalid naming each field of an unsaved `user` (and its new password) that can't be accepted."""
    problems = _field_problems(user)
    problems = _taken(user, set(problems)) | problems
    if password is not None:
        try:
            validate_password(password, user)
        except ValidationError as error:
            problems[password_field] = list(error.messages)
    if problems:
        field, messages = next(iter(problems.items()))
        raise Invalid(f"{field}: {messages[0]}", fields=problems)


def _field_problems(user: User) -> dict[str, list[str]]:
    try:
        user.clean_fields(exclude={"password"})
    except ValidationError as error:
        return {field: list(messages) for field, messages in error.message_dict.items()}
    return {}


def _taken(user: User, wrong: set[str]) -> dict[str, list[str]]:
    """Whatever their case; the constraints in the database have the last word. A field that is `wrong` can't be asked for."""
    others = User.objects.exclude(pk=user.pk)
    problems = {}
    if "username" not in wrong and user.username and others.filter(username__iexact=user.username).exists():
        problems["username"] = ["This username is taken."]
    if "email" not in wrong and user.email and others.filter(email__iexact=user.email).exists():
        problems["email"] = ["This e-mail address is taken."]
    return problems
