"""Pages and their fragments."""

from __future__ import annotations

from django.test import Client

from accounts.models import User
from tests.factories import make_job


def test_a_cached_fragment_is_never_taken_for_the_page(page: Client, alice: User) -> None:
    job = make_job(alice, status="queued")
    address = f"/training/{job.pk}"
    whole = page.get(address)
    part = page.get(address, headers={"HX-Request": "true", "HX-Target": "job-head"})
    assert b"<html" in whole.content
    assert b"<html" not in part.content
    for response in (whole, part):
        assert {"HX-Request", "HX-Target"} <= {word.strip() for word in response["Vary"].split(",")}
