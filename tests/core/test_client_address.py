"""Whose address rate limits count, behind proxies."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from finetune.core.client_address import ClientAddress, network_of


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (0, "1.2.3.4", "10.0.0.9"),  # nobody is believed
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the client wrote the first itself
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.8", "1.2.3.4"),
        (2, "1.2.3.4", "10.0.0.9"),  # somebody came past a proxy
        (1, "", "10.0.0.9"),
        (1, "nonsense", "10.0.0.9"),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_last_entries_are_the_proxies(proxies: int, header: str, address: str, settings) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.9", HTTP_X_FORWARDED_FOR=header)
    assert ClientAddress(lambda request: None).before(request).META["REMOTE_ADDR"] == address  # type: ignore[arg-type]


def test_an_ipv6_network_counts_as_one_caller() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert network_of("") == ""
