"""Who is at the other end, behind proxies that the operator counted."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

from finetune.core.middleware import Around


class ClientAddress(Around):
    """REMOTE_ADDR becomes the client's address. Each of TRUSTED_PROXIES proxies has added one address at the end of
    X-Forwarded-For; what stands before these was written by the client and is not believed."""

    def before(self, request: HttpRequest) -> HttpRequest:
        if settings.TRUSTED_PROXIES:
            hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
            if len(hops) >= settings.TRUSTED_PROXIES and _is_address(hop := hops[-settings.TRUSTED_PROXIES]):
                request.META["REMOTE_ADDR"] = hop
        return request


def network_of(address: str) -> str:
    """What one household or server can change at will counts as one: an IPv4 address, an IPv6 /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
