"""What the doors to experiment trackers make of an answer."""

from __future__ import annotations

import httpx
import pytest

from finetune.core.errors import Invalid, Unavailable
from finetune.core.trackers import checked


@pytest.mark.parametrize(
    ("answer", "refusal", "code"),
    [
        (httpx.Response(302, headers={"Location": "https://sso.example.org"}), Invalid, "not_a_tracker"),
        (httpx.Response(200, text="<html>"), Invalid, "not_a_tracker"),
        (httpx.Response(403), Invalid, "key_refused"),
        (httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No run"}), Invalid, "not_at_the_tracker"),
        (httpx.Response(400, json=["odd"]), Invalid, "tracker_refused"),
        (httpx.Response(429), Unavailable, "tracker_busy"),
        (httpx.Response(502), Unavailable, "tracker_busy"),
    ],
)
def test_what_is_no_success_is_said(answer: httpx.Response, refusal: type[Exception], code: str) -> None:
    with pytest.raises(refusal) as told:
        checked(answer, "MLflow")
    assert told.value.code == code  # type: ignore[attr-defined]


def test_an_empty_success_is_one() -> None:
    assert checked(httpx.Response(200), "MLflow") == {}
    assert checked(httpx.Response(200, json={"runs": []}), "MLflow") == {"runs": []}
