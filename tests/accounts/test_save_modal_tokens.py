"""Modal's tokens are tried at Modal, kept encrypted, and forgotten on request."""

from __future__ import annotations

import pytest

from accounts.models import Credential, User
from tests.training.executors.conftest import MODAL_TOKENS, modal_server  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db
GOOD = {"token_id": MODAL_TOKENS["id"], "token_secret": MODAL_TOKENS["secret"]}


def test_good_ones_are_kept_encrypted_and_never_told(api, modal_server) -> None:  # noqa: F811
    answer = api.post("/api/auth/modal-tokens", GOOD)
    assert (answer.status_code, answer.json()["valid"], answer.json()["last4"]) == (200, True, "good")
    assert GOOD["token_secret"] not in answer.content.decode() + Credential.objects.get().ciphertext
    assert api.get("/api/auth/modal-tokens").json() == answer.json()
    assert api.post("/api/auth/modal-tokens/validate").json()["valid"] is True
    assert api.delete("/api/auth/modal-tokens").status_code == 204
    assert not Credential.objects.exists()


@pytest.mark.parametrize("tokens", [{"token_id": "ak-bad", "token_secret": "as-bad"}, {"token_id": "hf_x", "token_secret": "as-x"}])
def test_others_are_refused_by_field_and_what_was_stored_stays(alice: User, api, modal_server, tokens) -> None:  # noqa: F811
    api.post("/api/auth/modal-tokens", GOOD)
    before = Credential.objects.get().ciphertext
    answer = api.post("/api/auth/modal-tokens", tokens)
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) <= {"token_id", "token_secret"}
    assert Credential.objects.get().ciphertext == before


def test_the_page_does_the_same(page, modal_server) -> None:  # noqa: F811
    assert page.post("/settings/modal", GOOD).status_code == 302
    assert "ak-…good" in page.get("/settings/connections").content.decode()
    assert page.post("/settings/modal", {"token_id": "ak-bad", "token_secret": "as-bad"}).status_code == 422
    assert page.post("/settings/modal/delete").status_code == 302
    assert not Credential.objects.exists()
