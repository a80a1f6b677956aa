"""Forms of the account pages. They check presence and length; rules are the verbs' business."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.models import Theme
from accounts.notice_models import Notification


def _password(label: str, autocomplete: str, **options: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, max_length=1024, strip=False, widget=widget, **options)


def _text(label: str, autocomplete: str, *, max_length: int, required: bool = True, **options: Any) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": autocomplete, "autocapitalize": "none", "spellcheck": "false"})
    return forms.CharField(label=label, max_length=max_length, required=required, widget=widget, **options)


def _email() -> forms.CharField:
    return forms.CharField(label="E-mail address", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"}))


class SignInForm(forms.Form):
    username = _text("Username or e-mail", "username", max_length=254)
    password = _password("Password", "current-password")


class RegisterForm(forms.Form):
    username = _text("Username", "username", max_length=150, help_text="Letters, digits and . + - _")
    email = _email()
    password = _password("Password", "new-password", help_text="At least 8 characters, and not a common one.")
    invitation = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)


class ProfileForm(forms.Form):
    username = _text("Username", "username", max_length=150)
    email = _email()
    first_name = _text("First name", "given-name", max_length=150, required=False)
    last_name = _text("Last name", "family-name", max_length=150, required=False)


class ThemeForm(forms.Form):
    theme = forms.ChoiceField(choices=Theme.choices, help_text="Follows you to your other browsers.")


class PasswordForm(forms.Form):
    old_password = _password("Current password", "current-password")
    new_password = _password(
        "New password", "new-password", help_text="Every other session and every token of yours ends when it changes."
    )


class TokenForm(forms.Form):
    token = _password(
        "Hugging Face token",
        "off",
        help_text="A token with read access suffices for gated models; write access to publish your own.",
    )


class WandbForm(forms.Form):
    secret = _password("API key", "off", help_text="Under User settings, API keys.")
    project = _text("Project", "off", max_length=100, required=False, help_text="Empty: aifinetune. It is made if there is none.")
    entity = _text("Team", "off", max_length=100, required=False, help_text="Empty: your own account.")
    url = _text("Server", "off", max_length=300, required=False, help_text="Empty: the cloud, https://api.wandb.ai.")


class MlflowForm(forms.Form):
    url = _text(
        "Tracking server",
        "off",
        max_length=300,
        help_text="Such as https://mlflow.example.org, or a host that your operator allows.",
    )
    username = _text("User", "off", max_length=200, required=False)
    secret = _password("Password, or a token without a user", "off", required=False, help_text="Empty where the server is open.")
    project = _text(
        "Experiment", "off", max_length=100, required=False, help_text="Empty: aifinetune. It is made if there is none."
    )


class ApiKeyForm(forms.Form):
    name = _text("Name", "off", max_length=100, help_text="What it is for, such as the script or machine that uses it.")
    scope = forms.ChoiceField(label="It may", choices=[("read", "Only read"), ("write", "Read and change")])
    days = forms.ChoiceField(
        label="It works for",
        required=False,
        initial="90",
        choices=[("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("", "Until I revoke it")],
    )


class ChannelsForm(forms.Form):
    KINDS = [choice for choice in Notification.Kind.choices if choice[0] != Notification.Kind.TEST]

    kinds = forms.MultipleChoiceField(label="Tell me when", required=False, choices=KINDS, widget=forms.CheckboxSelectMultiple)
    email = forms.BooleanField(label="By e-mail, to the address of my profile", required=False)
    webhook_url = forms.CharField(
        label="By webhook",
        required=False,
        max_length=500,
        widget=forms.URLInput(attrs={"placeholder": "https://example.org/hooks/aifinetune", "autocomplete": "off"}),
        help_text="Each notification is posted there as JSON, signed, and tried again for two hours.",
    )


class DeleteAccountForm(forms.Form):
    password = _password("Your password", "current-password")


class ModalForm(forms.Form):
    token_id = _text("Modal token id", "off", max_length=200, help_text="Begins with ak-.")
    token_secret = _password("Modal token secret", "off", help_text="Begins with as-.")
