"""The door to hosts that people name themselves (Ollama servers, webhooks): an httpx client that goes only where operators allow.

Each request, a redirect too, is checked when it is sent: the name is resolved once, every address it has must be allowed, and the
connection goes to one of exactly these addresses, so that a name which answers differently the second time leads nowhere.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpx

from finetune.core.errors import Forbidden, Invalid

Address = IPv4Address | IPv6Address
PORTS = {"http": 80, "https": 443}
# Addresses in which an IPv4 address is hidden: behind them may lie the networks that are refused.
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"), ip_network("2002::/16"), ip_network("2001::/32"))


@dataclass(frozen=True)
class Rules:
    """Where requests may go: to `allowed` (host or host:port, whatever its address), and to other hosts on the public net if `public`."""

    allowed: Collection[str] = ()
    public: bool = False

    def names(self, host: str, port: int) -> bool:
        """Whether an operator listed this host."""
        listed = {entry.strip().lower() for entry in self.allowed}
        name = f"[{host}]" if ":" in host else host
        return bool({host, name, f"{name}:{port}"} & listed)


def check_url(url: str, rules: Rules) -> None:
    """Refuse (Invalid, Forbidden) an address that a request would be refused for: for forms, before anything is stored."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port = "", 0
    if not host or parts.scheme not in PORTS:
        raise Invalid("Give a whole address that begins with https:// or http://.", code="bad_address")
    if parts.username or parts.password:
        raise Invalid("An address can't carry a name or password.", code="bad_address")
    allowed_addresses(host, port, rules)


def allowed_addresses(host: str, port: int, rules: Rules) -> list[str]:
    """The host's addresses, all of them allowed. Forbidden when one is not; Invalid when there is no such host."""
    host = host.lower().rstrip(".")
    listed = rules.names(host, port)
    if not listed and not rules.public:
        raise Forbidden(f"“{host}:{port}” is not among the hosts that the operators allow.", code="host_not_allowed")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Invalid(f"There is no host “{host}”.", code="unknown_host") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not listed and not all(is_public(ip_address(address.partition("%")[0])) for address in addresses):
        words = f"“{host}” is an address of a private network. An operator has to allow it first."
        raise Forbidden(words, code="private_address")
    return addresses


def is_public(address: Address) -> bool:
    """Whether it can be reached by everybody on the Internet: not private, local, link-local, reserved, or one of these in disguise."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class PinnedTransport(httpx.BaseTransport):
    """Checks and resolves each request's host, then connects to the address found. TLS still proves the host's name."""

    def __init__(self, rules: Rules, **options: Any):
        self.rules = rules
        self.inner = httpx.HTTPTransport(**options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in PORTS:
            raise Invalid("Only http and https addresses can be called.", code="bad_address")
        address = allowed_addresses(url.host, url.port or PORTS[url.scheme], self.rules)[0]
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.headers.setdefault("Host", url.netloc.decode("ascii"))
        request.url = url.copy_with(host=address)
        try:
            return self.inner.handle_request(request)
        finally:
            request.url = url

    def close(self) -> None:
        self.inner.close()


def client(rules: Rules, *, timeout: float | httpx.Timeout = 10.0, **options: Any) -> httpx.Client:
    """An httpx client behind the door: no redirects, no proxies from the environment. Close it (`with`).

    Besides httpx's own errors a request raises Invalid and Forbidden as `allowed_addresses` does.
    """
    return httpx.Client(transport=PinnedTransport(rules), timeout=timeout, follow_redirects=False, trust_env=False, **options)
