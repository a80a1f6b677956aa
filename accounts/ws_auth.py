"""Who is at the other end of a WebSocket: `SocketAuth(app)` puts `scope["user"]`, an AnonymousUser when nobody.

A caller proves itself by (the first that is there decides): subprotocols ["bearer", "<access token>"], `?token=<access token>` (an API key does as well),
or the session cookie of the pages. Bad, expired or revoked tokens and inactive people are nobody; the consumer then closes with 4401.

Browsers send their page's Origin, which must be this site (ALLOWED_HOSTS or CSRF_TRUSTED_ORIGINS): a foreign page could
otherwise ride on the cookie. Programs send none and then need a token.

A client that offers subprotocols must be answered with one, so "bearer" is added to the consumer's plain `accept()`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from channels.db import database_sync_to_async
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, parse_cookie  # noqa: TID251 (a surface: it reads the cookie of the pages)
from rest_framework.exceptions import APIException

from accounts.authentication import KEY_PREFIX, TokenAuthentication, key_of


class SocketAuth:
    """ASGI middleware for WebSockets."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name: value.decode("latin1") for name, value in scope["headers"]}
        token = _token(scope)
        if not _origin_allowed(headers, token):
            await WebsocketDenier()(scope, receive, send)
            return
        user = await (_token_user(token) if token is not None else _session_user(headers.get(b"cookie", "")))
        bearer = "bearer" in scope.get("subprotocols", [])
        await self.app({**scope, "user": user}, receive, _answering_bearer(send) if bearer else send)


def _token(scope: dict[str, Any]) -> str | None:
    protocols = scope.get("subprotocols", [])
    if len(protocols) == 2 and protocols[0] == "bearer":
        return protocols[1]
    query = parse_qs(scope.get("query_string", b"").decode("latin1"))
    return query["token"][0] if "token" in query else None


def _origin_allowed(headers: dict[bytes, str], token: str | None) -> bool:
    origin = headers.get(b"origin")
    if origin is None:
        return token is not None
    try:
        page = urlsplit(origin)
    except ValueError:
        return False
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    # "*" lets this site answer under any name; it does not make every site on the web this one.
    if "*" in settings.ALLOWED_HOSTS and page.netloc.lower() == headers.get(b"host", "").lower():
        return True
    return OriginValidator(None, [host for host in settings.ALLOWED_HOSTS if host != "*"]).valid_origin(page)


@database_sync_to_async
def _token_user(token: str) -> Any:
    if token.startswith(KEY_PREFIX):
        key = key_of(token)
        return key.owner if key else AnonymousUser()
    authentication = TokenAuthentication()
    try:
        return authentication.get_user(authentication.get_validated_token(token.encode()))
    except APIException:
        return AnonymousUser()


@database_sync_to_async
def _session_user(cookie: str) -> Any:
    request = HttpRequest()
    request.session = SessionStore(parse_cookie(cookie).get(settings.SESSION_COOKIE_NAME))
    return get_user(request)


def _answering_bearer(send: Any) -> Any:
    async def wrapped(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": "bearer"}
        await send(message)

    return wrapped
