"""/api/auth: accounts, tokens, the Hugging Face token."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, update_session_auth_hash
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import serializers
from accounts.authentication import NotWithApiKey
from accounts.lockout import count_failure, forget_failures, seconds_locked
from accounts.models import Credential, User
from accounts.person import person
from accounts.services.change_password import change_password
from accounts.services.forget_hf_token import forget_hf_token
from accounts.services.forget_modal_tokens import forget_modal_tokens
from accounts.services.issue_tokens import issue_tokens
from accounts.services.register_user import register_user
from accounts.services.revoke_token import revoke_token
from accounts.services.rotate_tokens import rotate_tokens
from accounts.services.save_hf_token import save_hf_token
from accounts.services.save_modal_tokens import save_modal_tokens
from accounts.services.update_profile import update_profile
from accounts.services.validate_hf_token import validate_hf_token
from accounts.sessions import described, rename
from finetune.core.throttling import LoginThrottle, RegisterThrottle

NOTHING = OpenApiResponse(description="Done; no content.")


def parsed(serializer: type[serializers.serializers.Serializer], request: Request, **options: Any) -> dict[str, Any]:
    """The request's body as checked values; 400 naming each field that is missing or of the wrong type."""
    form = serializer(data=request.data, **options)
    form.is_valid(raise_exception=True)
    return form.validated_data


class OpenView(APIView):
    """A route for people who have no access token (yet). A wrong password or token is a 401 all the same."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class RegisterView(OpenView):
    throttle_classes = [RegisterThrottle]

    @extend_schema(
        request=serializers.RegisterSerializer, responses={201: serializers.SignedInSerializer}, operation_id="auth_register"
    )
    def post(self, request: Request) -> Response:
        """Create an account. The first one owns the installation."""
        user = register_user(**parsed(serializers.RegisterSerializer, request))
        return Response(_signed_in(user, request), status=status.HTTP_201_CREATED)


class LoginView(OpenView):
    throttle_classes = [LoginThrottle]

    @extend_schema(request=serializers.LoginSerializer, responses=serializers.SignedInSerializer, operation_id="auth_login")
    def post(self, request: Request) -> Response:
        """Tokens for a username (or e-mail address) and password."""
        values = parsed(serializers.LoginSerializer, request)
        name = values["username"]
        if wait := seconds_locked(request._request, name):
            raise Throttled(wait=wait)
        user = authenticate(request._request, **values)
        if user is None:
            count_failure(request._request, name)
            raise AuthenticationFailed("Wrong username or password.")
        forget_failures(request._request, name)
        return Response(_signed_in(user, request))


class RefreshView(OpenView):
    @extend_schema(request=serializers.RefreshSerializer, responses=serializers.TokensSerializer, operation_id="auth_refresh")
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for a new pair; the old one is refused afterwards. The same client that asks twice within ten
        seconds (two tabs) gets the same pair; any other second use ends the sign-in."""
        values = parsed(serializers.RefreshSerializer, request)
        return Response(rotate_tokens(**values, **described(request)))


class LogoutView(OpenView):
    @extend_schema(request=serializers.RefreshSerializer, responses={204: NOTHING}, operation_id="auth_logout")
    def post(self, request: Request) -> Response:
        """End a refresh token. Having it is proof enough: the access token may have expired long ago."""
        revoke_token(**parsed(serializers.RefreshSerializer, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    @extend_schema(responses=serializers.UserSerializer, operation_id="auth_me")
    def get(self, request: Request) -> Response:
        """The signed-in person."""
        return Response(serializers.UserSerializer(request.user).data)

    @extend_schema(request=serializers.ProfileSerializer, responses=serializers.UserSerializer, operation_id="auth_me_replace")
    def put(self, request: Request) -> Response:
        """Change the profile; username and e-mail address are needed."""
        return self._update(request, partial=False)

    @extend_schema(
        request=serializers.ProfileSerializer(partial=True), responses=serializers.UserSerializer, operation_id="auth_me_update"
    )
    def patch(self, request: Request) -> Response:
        """Change the given parts of the profile."""
        return self._update(request, partial=True)

    def _update(self, request: Request, *, partial: bool) -> Response:
        user = update_profile(user=person(request), **parsed(serializers.ProfileSerializer, request, partial=partial))
        return Response(serializers.UserSerializer(user).data)


class ChangePasswordView(APIView):
    throttle_classes = [LoginThrottle]
    permission_classes = [IsAuthenticated, NotWithApiKey]

    @extend_schema(request=serializers.ChangePasswordSerializer, responses={204: NOTHING}, operation_id="auth_change_password")
    def post(self, request: Request) -> Response:
        """Set a new password. Other sessions and every token end; a browser session that asks goes on."""
        values = parsed(serializers.ChangePasswordSerializer, request)
        key = (request._request.session.session_key or "") if request.auth is None else ""  # signed in by session, not by token
        user = change_password(user=person(request), session_key=key, **values)
        if key:
            update_session_auth_hash(request._request, user)
            rename(key, request._request.session.session_key)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    get=extend_schema(responses=serializers.CredentialSerializer, operation_id="auth_hf_token"),
    post=extend_schema(
        request=serializers.TokenSerializer, responses=serializers.CredentialSerializer, operation_id="auth_hf_token_save"
    ),
    delete=extend_schema(responses={204: NOTHING}, operation_id="auth_hf_token_forget"),
)
class HfTokenView(APIView):
    permission_classes = [IsAuthenticated, NotWithApiKey]

    def get(self, request: Request) -> Response:
        """What is known about the stored token, never the token."""
        credential = person(request).credentials.filter(kind=Credential.Kind.HUGGING_FACE).first()
        return Response(serializers.CredentialSerializer().to_representation(credential))

    def post(self, request: Request) -> Response:
        """Ask the Hub whose token this is, then store it encrypted."""
        credential = save_hf_token(user=person(request), **parsed(serializers.TokenSerializer, request))
        return Response(serializers.CredentialSerializer(credential).data)

    def delete(self, request: Request) -> Response:
        """Forget the token."""
        forget_hf_token(user=person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    get=extend_schema(responses=serializers.CredentialSerializer, operation_id="auth_modal_tokens"),
    post=extend_schema(
        request=serializers.ModalTokensSerializer, responses=serializers.CredentialSerializer, operation_id="auth_modal_tokens_save"
    ),
    delete=extend_schema(responses={204: NOTHING}, operation_id="auth_modal_tokens_forget"),
)
class ModalTokensView(APIView):
    def get(self, request: Request) -> Response:
        """What is known about the stored Modal tokens, never the tokens."""
        credential = person(request).credentials.filter(kind=Credential.Kind.MODAL).first()
        return Response(serializers.CredentialSerializer().to_representation(credential))

    def post(self, request: Request) -> Response:
        """Ask Modal whether it accepts them, then store them encrypted."""
        credential = save_modal_tokens(user=person(request), **parsed(serializers.ModalTokensSerializer, request))
        return Response(serializers.CredentialSerializer(credential).data)

    def delete(self, request: Request) -> Response:
        """Forget the tokens."""
        forget_modal_tokens(user=person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class HfTokenValidateView(APIView):
    @extend_schema(request=None, responses=serializers.CredentialSerializer, operation_id="auth_hf_token_validate")
    def post(self, request: Request) -> Response:
        """Ask the Hub again whether the stored token is good."""
        return Response(serializers.CredentialSerializer(validate_hf_token(user=person(request))).data)


def _signed_in(user: User, request: Request) -> dict[str, Any]:
    return {"user": serializers.UserSerializer(user).data, **issue_tokens(user=user, **described(request))}
