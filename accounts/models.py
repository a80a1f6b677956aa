"""People. The User is ours from the first migration, so that it can grow."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

# No "@": a username can then never be mistaken for somebody's e-mail address at sign-in.
username_rule = RegexValidator(r"\A[\w.+-]+\Z", "Use letters, digits and . + - _ only.")


class Theme(models.TextChoices):
    SYSTEM = "system", "As the system"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class User(AbstractUser):
    """Signs in with username or e-mail; both are unique whatever their case. Operators are `is_staff`."""

    username = models.CharField("username", max_length=150, unique=True, validators=[username_rule])
    email = models.EmailField("e-mail address")
    # The person who set this installation up. A constraint, not a check, so that two first visitors can't both be it.
    is_owner = models.BooleanField(default=False, editable=False)
    theme = models.CharField(max_length=10, choices=Theme, default=Theme.SYSTEM, help_text="How the pages look, in every browser.")
    # When the person asked for their account to be deleted. It is inactive from then on; a worker removes what is theirs.
    deletion_asked_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_ci", violation_error_message="This e-mail address is taken."),
            models.UniqueConstraint(Lower("username"), name="user_username_ci", violation_error_message="This username is taken."),
            models.UniqueConstraint("is_owner", condition=Q(is_owner=True), name="user_one_owner"),
        ]

    @property
    def has_hf_token(self) -> bool:
        return self.credentials.filter(kind=Credential.Kind.HUGGING_FACE).exists()


class Credential(models.Model):
    """A secret for an outside system, encrypted (core.crypto). `info` holds what that system said about it, nothing secret."""

    class Kind(models.TextChoices):
        HUGGING_FACE = "hf", "Hugging Face"
        MODAL = "modal", "Modal"
        WANDB = "wandb", "Weights & Biases"
        MLFLOW = "mlflow", "MLflow"

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


class UserLimits(models.Model):
    """What this person may use, where it differs from everybody's (settings MAX_…_PER_USER). Read through accounts.limits."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="limits")
    running_jobs = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: as everybody. 0: no limit.")
    queued_jobs = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: as everybody. 0: no limit.")
    storage_bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text="Empty: as everybody. 0: no limit.")
    usd_per_month = models.DecimalField(
        max_digits=10, decimal_places=2, null=True, blank=True, help_text="At cloud providers. Empty: as everybody. 0: no limit."
    )
    may_confirm = models.BooleanField(null=True, blank=True, help_text="Whether they may go beyond it after saying yes.")

    class Meta:
        verbose_name_plural = "user limits"

    def __str__(self) -> str:
        return f"Limits of {self.user}"


from accounts.access_models import ApiKey, AuditEntry, BrowserSession, Invitation, TokenFamily  # noqa: E402
from accounts.archive_models import DataArchive  # noqa: E402
from accounts.notice_models import Notification, NotificationChannels  # noqa: E402

__all__ = [
    "ApiKey",
    "AuditEntry",
    "BrowserSession",
    "Credential",
    "DataArchive",
    "Invitation",
    "Notification",
    "NotificationChannels",
    "Theme",
    "TokenFamily",
    "User",
    "UserLimits",
]
