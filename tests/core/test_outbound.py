"""The door to hosts that people name: only where operators allow, and never to another address than the one that was checked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

from finetune.core import outbound
from finetune.core.errors import Forbidden, Invalid
from finetune.core.outbound import Rules, allowed_addresses, check_url, is_public


class Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        else:
            self.send_response(200)
        self.send_header("X-Asked-Host", self.headers["Host"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[int]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield httpd.server_port
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
     "::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "ff02::1"],
)  # fmt: skip
def test_what_is_not_on_the_public_net_is_none(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111"])
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]"])
def test_a_private_host_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises((Forbidden, Invalid)):
        check_url(f"http://{host}:80/", Rules(public=True))


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: both)
    with pytest.raises(Forbidden) as refusal:
        allowed_addresses("mixed.example", 80, Rules(public=True))
    assert refusal.value.code == "private_address"


@pytest.mark.parametrize(
    ("entry", "fine"), [("127.0.0.1", True), ("127.0.0.1:{port}", True), ("127.0.0.1:1", False), ("other", False)]
)
def test_operators_allow_a_host_or_one_of_its_ports(server: int, entry: str, fine: bool) -> None:
    rules = Rules(allowed=[entry.format(port=server)])
    with outbound.client(rules) as client:
        if fine:
            assert client.get(f"http://127.0.0.1:{server}/").status_code == 200
        else:
            with pytest.raises(Forbidden):
                client.get(f"http://127.0.0.1:{server}/")


def test_the_connection_goes_to_the_address_that_was_checked(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name answers differently the second time (DNS rebinding): nobody asks a second time."""
    asked = []
    real = socket.getaddrinfo

    def once(host: str, *args: object, **options: object) -> list:
        if host in ("rebind.example", b"rebind.example"):
            asked.append(host)
            assert len(asked) == 1
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server))]
        return real(host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    with outbound.client(Rules(allowed=["rebind.example"])) as client:
        answer = client.get(f"http://rebind.example:{server}/")
    assert answer.headers["X-Asked-Host"] == f"rebind.example:{server}"
    assert str(answer.url) == f"http://rebind.example:{server}/"


def test_redirects_are_not_followed_and_would_be_checked(server: int) -> None:
    rules = Rules(allowed=[f"127.0.0.1:{server}"], public=True)
    with outbound.client(rules) as client:
        assert client.get(f"http://127.0.0.1:{server}/away").status_code == 302
        with pytest.raises(Forbidden):
            client.get(f"http://127.0.0.1:{server}/away", follow_redirects=True)


@pytest.mark.parametrize(
    "url", ["", "ftp://example.org/", "file:///etc/passwd", "http://", "http://u:p@example.org/", "http://[", "x"]
)
def test_strange_addresses_are_refused(url: str) -> None:
    with pytest.raises(Invalid):
        check_url(url, Rules(public=True))
