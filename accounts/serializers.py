"""JSON shapes of /api/auth. They check types and lengths; rules are the verbs' business."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.models import ApiKey, Credential, Theme, User


class Password(serializers.CharField):
    """Taken as it is, spaces too; bounded, because hashing a megabyte costs the server."""

    def __init__(self, **kwargs: Any):
        options: dict[str, Any] = {
            "max_length": 1024,
            "trim_whitespace": False,
            "write_only": True,
            "style": {"input_type": "password"},
        } | kwargs
        super().__init__(**options)


class UserSerializer(serializers.ModelSerializer):
    """A person, as that person sees it."""

    has_hf_token = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = ["id", "username", "email", "first_name", "last_name", "date_joined", "has_hf_token", "theme"]


class ProfileSerializer(serializers.Serializer):
    username = serializers.CharField(max_length=150)
    email = serializers.CharField(max_length=254)
    first_name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    last_name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    theme = serializers.ChoiceField(choices=Theme.choices, required=False, help_text="How the pages look, in every browser.")


class RegisterSerializer(serializers.Serializer):
    username = serializers.CharField(max_length=150)
    email = serializers.CharField(max_length=254)
    password = Password()
    invitation = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="Where registration is by invitation: the secret of the link."
    )


class LoginSerializer(serializers.Serializer):
    username = serializers.CharField(max_length=254, help_text="Username or e-mail address.")
    password = Password()


class RefreshSerializer(serializers.Serializer):
    refresh = serializers.CharField(max_length=4096)


class TokensSerializer(serializers.Serializer):
    access = serializers.CharField()
    refresh = serializers.CharField()


class SignedInSerializer(TokensSerializer):
    user = UserSerializer()


class ChangePasswordSerializer(serializers.Serializer):
    old_password = Password()
    new_password = Password()


class ApiKeySerializer(serializers.ModelSerializer):
    """A key as its owner sees it in a list; the key itself is shown once, when it is made."""

    scopes = serializers.ListField(child=serializers.ChoiceField(ApiKey.Scope.choices))

    class Meta:
        model = ApiKey
        fields = ["id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"]


class NewApiKeySerializer(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(child=serializers.ChoiceField(ApiKey.Scope.choices), default=["read"])
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class MadeApiKeySerializer(ApiKeySerializer):
    key = serializers.CharField(help_text="Shown this once.")

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField(max_length=500, write_only=True)


class ModalTokensSerializer(serializers.Serializer):
    token_id = serializers.CharField(max_length=200)
    token_secret = serializers.CharField(max_length=500, write_only=True)


class CredentialSerializer(serializers.Serializer):
    """What is known about a stored token. Never the token."""

    has_token = serializers.BooleanField()
    valid = serializers.BooleanField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    role = serializers.CharField(allow_null=True)
    orgs = serializers.ListField(child=serializers.CharField())
    last4 = serializers.CharField(allow_null=True)
    checked_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Credential | None) -> dict[str, Any]:
        info = instance.info if instance else {}
        return super().to_representation(
            {
                "has_token": instance is not None,
                "valid": instance.valid if instance else None,
                "username": info.get("username"),
                "role": info.get("role"),
                "orgs": info.get("orgs", []),
                "last4": instance.last4 if instance else None,
                "checked_at": instance.checked_at if instance else None,
            }
        )
