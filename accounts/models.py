"""People. The User is ours from the first migration, so that it can grow."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models.functions import Lower


class User(AbstractUser):
    """Signs in with username or e-mail; both are unique whatever their case. Operators are `is_staff`."""

    email = models.EmailField("e-mail address")

    objects = UserManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_ci", violation_error_message="This e-mail address is taken."),
            models.UniqueConstraint(Lower("username"), name="user_username_ci", violation_error_message="This username is taken."),
        ]

    @property
    def has_hf_token(self) -> bool:
        return self.credentials.filter(kind=Credential.Kind.HUGGING_FACE).exists()


class Credential(models.Model):
    """A secret for an outside system, encrypted (core.crypto). `info` holds what that system said about it, nothing secret."""

    class Kind(models.TextChoices):
        HUGGING_FACE = "hf", "Hugging Face"

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(max_length=20, choices=Kind)
    ciphertext = models.TextField()
    last4 = models.CharField(max_length=4)
    valid = models.BooleanField(default=True)
    info = models.JSONField(default=dict)
    checked_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint("owner", "kind", name="credential_once_a_kind")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} …{self.last4}"
