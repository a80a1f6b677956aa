"""What a person's new jobs begin with: below templates and what is said for the job, on the page and in the API."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from tests.factories import make_base_model, make_dataset, make_template
from training.services.save_job_defaults import save_job_defaults
from training.tracker_models import JobDefaults


@pytest.fixture
def mine(alice: User) -> JobDefaults:
    return save_job_defaults(
        owner=alice, method="lora", config={"lora_r": "12", "learning_rate": 3e-4, "beta": 0.2, "save_steps": 7}
    )


def test_the_form_begins_with_them_below_a_template(alice: User, mine: JobDefaults, page: Any, charlie_page: Any) -> None:
    make_base_model(alice), make_dataset(alice)
    form = page.get("/training/new").context["form"]
    assert (form["lora_r"].value(), form["learning_rate"].value(), form["save_steps"].value()) == ("12", "0.0003", "7")
    template = make_template(alice)  # lora_r 4
    form = page.get("/training/new", {"template": template.pk}).context["form"]
    assert (form["lora_r"].value(), form["save_steps"].value()) == ("4", "7")
    form = page.get("/training/new", {"lora_r": "", "learning_rate": "1", "name": "x"}, headers={"HX-Request": "true"}).context[
        "form"
    ]
    assert (form["lora_r"].value(), form["learning_rate"].value()) == ("", "1")  # what was cleared stays so
    form = page.get("/training/new", {"method": "dpo"}).context["form"]
    assert "lora_r" in form.fields and form.chosen_method == "lora"  # these rows are no comparisons
    assert not charlie_page.get("/training/new").context["form"]["lora_r"].value()


def test_the_api_begins_with_them_where_it_is_asked_to(alice: User, mine: JobDefaults, api: Any) -> None:
    values = {"name": "x", "model_id": make_base_model(alice).pk, "dataset_id": make_dataset(alice).pk}
    plain = api.post("/api/training", {**values, "method": "lora"}).json()
    assert plain["config"]["lora_r"] != 12
    made = api.post("/api/training", {**values, "use_defaults": True, "config": {"learning_rate": 1e-5}}).json()
    assert (made["method"], made["config"]["lora_r"], made["config"]["learning_rate"]) == ("lora", 12, 1e-5)
    template = make_template(alice)
    made = api.post("/api/training", {**values, "use_defaults": True, "template_id": str(template.pk)}).json()
    assert (made["config"]["lora_r"], made["config"]["save_steps"]) == (4, 7)
    assert api.post("/api/training", values).json()["fields"].keys() == {"method"}


def test_saved_on_the_page_and_by_the_api(alice: User, page: Any, api: Any) -> None:
    posted = page.post("/settings/new-jobs", {"method": "", "place": "", "lora_r": "24", "packing": "true"})
    assert posted.status_code == 302, posted.context["form"].errors
    assert api.get("/api/training/defaults").json()["config"] == {"lora_r": 24, "packing": True}
    assert api.put("/api/training/defaults", {"config": {}}).json()["config"] == {}
    assert JobDefaults.objects.filter(owner=alice).count() == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"method": "magic"}, "method"),
        ({"config": {"lora_r": -1}}, "lora_r"),
        ({"config": {"no_such_option": 1}}, "no_such_option"),
        ({"config": {"optim": "magic"}}, "optim"),
        ({"executor": "moon"}, "executor"),
        ({"executor": "modal", "hardware": "H9000"}, "hardware"),
        ({"report_to": ["wandb"]}, "report_to"),
    ],
)
def test_it_refuses_by_name_and_keeps_what_was(values: dict[str, Any], field: str, mine: JobDefaults, api: Any) -> None:
    told = api.put("/api/training/defaults", values)
    assert told.status_code == 400 and list(told.json()["fields"]) == [field], told.json()
    assert JobDefaults.objects.get().config == mine.config
