"""Who did what is written down, without secrets."""

from __future__ import annotations

from accounts.models import AuditEntry
from tests.conftest import PASSWORD
from tests.factories import make_dataset


def actions() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", "actor_name"))


def test_sign_ins_good_and_bad(anonymous_page, anonymous_api, alice):
    anonymous_page.post("/sign-in", {"username": "alice", "password": "wrong-password"}, REMOTE_ADDR="10.3.3.3")
    anonymous_page.post("/sign-in", {"username": "my-secret-password", "password": "alice"})
    anonymous_page.post("/sign-in", {"username": "alice", "password": PASSWORD})
    anonymous_page.post("/sign-out")
    anonymous_api.post("/api/auth/login", {"username": "alice", "password": PASSWORD})
    assert actions() == [
        ("sign-in failed", ""), ("sign-in failed", ""), ("sign-in", "alice"), ("sign-out", "alice"), ("sign-in", "alice"),
    ]  # fmt: skip
    first = AuditEntry.objects.order_by("pk")[0]
    assert (first.target, first.address) == ("alice", "10.3.3.3")
    assert not AuditEntry.objects.filter(target__contains="secret").exists()


def test_deletions_name_who_and_what(api, alice):
    dataset = make_dataset(alice, name="poems")
    assert api.delete(f"/api/datasets/{dataset.pk}").status_code == 204
    entry = AuditEntry.objects.get(action="delete dataset")
    assert entry.actor == alice and "poems" in entry.target and entry.detail["owner"] == "alice"


def test_what_operators_do_in_the_admin(anonymous_page, alice, olivia):
    anonymous_page.force_login(olivia)
    values = {"user": alice.pk, "running_jobs": 2, "queued_jobs": "", "storage_bytes": ""}
    assert anonymous_page.post("/admin/accounts/userlimits/add/", values).status_code == 302
    entry = AuditEntry.objects.get(action="admin: add user limits")
    assert entry.actor == olivia and "alice" in entry.target


def test_nobody_changes_the_log(anonymous_page, alice, olivia):
    anonymous_page.force_login(olivia)
    entry = AuditEntry.objects.create(action="sign-in", actor=alice, actor_name="alice")
    assert anonymous_page.get("/admin/accounts/auditentry/").status_code == 200
    assert anonymous_page.get(f"/admin/accounts/auditentry/{entry.pk}/change/").status_code == 200
    assert anonymous_page.post(f"/admin/accounts/auditentry/{entry.pk}/change/", {"action": "x"}).status_code == 403
    assert anonymous_page.post(f"/admin/accounts/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert anonymous_page.get("/admin/accounts/auditentry/add/").status_code == 403
