"""Templates: built-in ones that follow the spec, and one's own."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_template
from training.builtin_templates import KINDS, built_in_templates
from training.engine.spec import METHODS, check_config, config_fields
from training.models import JobTemplate


@pytest.mark.parametrize("template", built_in_templates(), ids=lambda template: template.id)
def test_a_built_in_template_is_one_the_engine_takes(template) -> None:
    checked = check_config(template.method, template.config)
    assert template.config
    assert {key: checked[key] for key in template.config} == template.config


def test_every_method_has_all_kinds() -> None:
    assert {template.method for template in built_in_templates()} == set(METHODS)
    assert len({template.id for template in built_in_templates()}) == len(METHODS) * len(KINDS)


def test_the_recipes_name_no_option_that_never_was() -> None:
    known = {item.name for item in config_fields()}
    for _, _, changes in KINDS.values():
        assert set(changes) <= known


def test_they_are_listed_with_ones_own(api: APIClient, charlie_api: APIClient, alice: User) -> None:
    mine = make_template(alice)
    found = api.get("/api/training/templates?page_size=200").json()
    assert found["count"] == len(METHODS) * len(KINDS) + 1
    assert found["results"][-1] == {
        "id": str(mine.pk), "name": "mine", "description": "", "method": "lora", "config": {"lora_r": 4}, "built_in": False,
    }  # fmt: skip
    assert found["results"][0]["built_in"] is True
    only = api.get("/api/training/templates?method=sft&search=quick").json()["results"]
    assert [item["id"] for item in only] == ["sft-quick"]
    assert charlie_api.get("/api/training/templates").json()["count"] == len(METHODS) * len(KINDS)
    assert api.get("/api/training/templates/lora-quick").json()["method"] == "lora"
    assert api.get("/api/training/templates/nothing").status_code == 404


def test_ones_own_is_made_changed_and_deleted(api: APIClient) -> None:
    body = {"name": "careful", "method": "lora", "config": {"lora_r": 8, "seed": 42}, "description": "for bills"}
    made = api.post("/api/training/templates", body).json()
    assert made["config"] == {"lora_r": 8}  # the seed is the default's
    url = f"/api/training/templates/{made['id']}"
    changed = api.put(url, {**body, "name": "bold", "config": {"learning_rate": 1e-3}}).json()
    assert (changed["name"], changed["config"], changed["id"]) == ("bold", {"learning_rate": 1e-3}, made["id"])
    assert api.delete(url).status_code == 204
    assert not JobTemplate.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "mine"}, "name"),
        ({"method": "magic"}, "method"),
        ({"config": {"lora_r": 0}}, "lora_r"),
        ({"config": {"nothing": 1}}, "nothing"),
        ({"description": "x" * 501}, "description"),
    ],
)
def test_what_cannot_be_is_named_and_nothing_is_kept(api: APIClient, alice: User, change: dict, field: str) -> None:
    make_template(alice)
    other = make_template(alice, name="other")
    body = {"name": "new", "method": "lora", "config": {}, **change}
    for answer in (api.post("/api/training/templates", body), api.put(f"/api/training/templates/{other.pk}", body)):
        assert answer.status_code == 400
        assert list(answer.json()["fields"]) == [field]
    assert list(JobTemplate.objects.values_list("name", flat=True)) == ["mine", "other"]


def test_built_in_ones_stay_as_they_are(api: APIClient) -> None:
    body = {"name": "new", "method": "lora"}
    assert api.put("/api/training/templates/lora-quick", body).status_code == 409
    refused = api.delete("/api/training/templates/lora-quick")
    assert (refused.status_code, refused.json()["code"]) == (409, "built_in")


def test_a_stranger_finds_nothing(charlie_api: APIClient, alice: User) -> None:
    url = f"/api/training/templates/{make_template(alice).pk}"
    body = {"name": "taken", "method": "lora"}
    assert [charlie_api.get(url).status_code, charlie_api.put(url, body).status_code, charlie_api.delete(url).status_code] == [
        404
    ] * 3
    assert JobTemplate.objects.get().name == "mine"


def test_operators_see_and_delete_them_in_the_admin(olivia: User, alice: User) -> None:
    client = Client()
    client.force_login(olivia)
    template = make_template(alice)
    assert "mine" in client.get("/admin/training/jobtemplate/").content.decode()
    client.post("/admin/training/jobtemplate/", {"action": "delete_selected_templates", "_selected_action": [template.pk]})
    assert not JobTemplate.objects.exists()
