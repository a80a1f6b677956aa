"""Who a WebSocket's caller is."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.test import Client

from accounts.models import User
from accounts.services.change_password import change_password
from accounts.services.issue_tokens import issue_tokens
from accounts.ws_auth import SocketAuth
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = (b"origin", b"http://localhost:8000")


class WhoAmI(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send_json({"user": self.scope["user"].username})


@pytest.fixture
def user() -> User:
    return User.objects.create_user("alice", "alice@example.org", PASSWORD)


@pytest.fixture
def access(user) -> str:
    return issue_tokens(user=user)["access"]


def cookie_of(user: User) -> tuple[bytes, bytes]:
    client = Client()
    client.force_login(user)
    return b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode()


async def ask(
    path: str = "/ws/x", headers: tuple = (), subprotocols: list[str] | None = None
) -> tuple[bool, str | None, str | None]:
    """(let in, subprotocol of the answer, username); the name is "" for nobody."""
    socket = WebsocketCommunicator(SocketAuth(WhoAmI.as_asgi()), path, headers=list(headers), subprotocols=subprotocols)
    accepted, subprotocol = await socket.connect()
    name = (await socket.receive_json_from())["user"] if accepted else None
    await socket.disconnect()
    return accepted, subprotocol, name


async def test_the_pages_session(user):
    cookie = await sync_to_async(cookie_of)(user)
    assert await ask(headers=(cookie, ORIGIN)) == (True, None, "alice")


async def test_a_token_in_the_address(access):
    assert await ask(f"/ws/x?after=3&token={access}") == (True, None, "alice")


async def test_a_token_as_subprotocol_is_answered_with_bearer(access):
    assert await ask(subprotocols=["bearer", access]) == (True, "bearer", "alice")


async def test_without_proof_it_is_nobody(user):
    assert await ask(headers=(ORIGIN,)) == (True, None, "")
    assert await ask(headers=(ORIGIN, (b"cookie", b"sessionid=nonsense"))) == (True, None, "")


@pytest.mark.parametrize("token", ["nonsense", "", "a.b.c"])
async def test_a_bad_token_is_nobody_even_beside_a_good_session(user, token):
    cookie = await sync_to_async(cookie_of)(user)
    assert await ask(f"/ws/x?token={token}x", headers=(cookie, ORIGIN)) == (True, None, "")


async def test_a_refresh_token_opens_nothing(user):
    refresh = (await sync_to_async(issue_tokens)(user=user))["refresh"]
    assert await ask(f"/ws/x?token={refresh}") == (True, None, "")


async def test_a_changed_password_ends_token_and_session(user, access):
    cookie = await sync_to_async(cookie_of)(user)
    await sync_to_async(change_password)(user=user, old_password=PASSWORD, new_password="another-long-passphrase")

    assert await ask(f"/ws/x?token={access}") == (True, None, "")
    assert await ask(headers=(cookie, ORIGIN)) == (True, None, "")


async def test_an_inactive_person_is_nobody(user, access):
    cookie = await sync_to_async(cookie_of)(user)
    await User.objects.aupdate(is_active=False)

    assert await ask(f"/ws/x?token={access}") == (True, None, "")
    assert await ask(headers=(cookie, ORIGIN)) == (True, None, "")


@pytest.mark.parametrize("origin", [b"https://evil.example", b"null", b"http://[", b"http://localhost.evil.example"])
async def test_a_foreign_page_is_turned_away(user, access, origin):
    cookie = await sync_to_async(cookie_of)(user)
    assert await ask(headers=(cookie, (b"origin", origin))) == (False, 1000, None)
    assert (await ask(f"/ws/x?token={access}", headers=((b"origin", origin),)))[0] is False


async def test_a_session_without_an_origin_is_turned_away(user):
    cookie = await sync_to_async(cookie_of)(user)
    assert (await ask(headers=(cookie,)))[0] is False


async def test_serving_under_any_name_does_not_let_every_page_in(user, settings):
    settings.ALLOWED_HOSTS = ["*"]
    cookie = await sync_to_async(cookie_of)(user)
    host = (b"host", b"gpu-box:8000")

    assert (await ask(headers=(cookie, host, (b"origin", b"http://gpu-box:8000"))))[2] == "alice"
    assert (await ask(headers=(cookie, host, (b"origin", b"http://evil.example"))))[0] is False
