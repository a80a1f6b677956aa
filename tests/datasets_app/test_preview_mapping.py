"""The mapping screen: what a mapping would make of the first rows, tried without storing anything."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.preview_mapping import preview_mapping
from finetune.core.errors import Conflict, Invalid
from tests.datasets_app.conftest import jsonl, make_read
from tests.factories import make_dataset

ODD = [{"q": {"text": f"question {number}"}, "answers": [{"text": "a"}], "note": "n"} for number in range(8)]
MAPPING = {"prompt": {"path": "q.text"}, "completion": {"path": "answers[0].text"}}


@pytest.fixture
def odd(alice: User) -> Dataset:
    return make_read(alice, jsonl(*ODD[:2], "{broken", *ODD[2:]))


def test_the_first_rows_are_shown_as_the_mapping_makes_them(odd: Dataset) -> None:
    assert odd.status == "invalid"
    before = Dataset.objects.values().get(pk=odd.pk)
    shown = preview_mapping(dataset=odd, mapping=MAPPING)
    assert (shown.columns, shown.format, shown.message) == (["q", "answers", "note"], "prompt_completion", "")
    assert [row.line for row in shown.rows] == [1, 2, 3, 4, 5]
    assert shown.rows[0].row["messages"][0] == {"role": "user", "content": "question 0"}
    assert "Not valid JSON" in shown.rows[2].error
    assert Dataset.objects.values().get(pk=odd.pk) == before


def test_what_is_wrong_is_told(odd: Dataset) -> None:
    assert "no format yet" in preview_mapping(dataset=odd).message
    assert "no column “gone”" in preview_mapping(dataset=odd, mapping={"prompt": "gone", "completion": "note"}).message
    empty = preview_mapping(dataset=odd, mapping={"prompt": {"path": "q.none"}, "completion": "note"})
    assert "missing" in empty.rows[0].error or empty.message
    with pytest.raises(Invalid):
        preview_mapping(dataset=odd, mapping={"prompt": 5})
    odd.original_file.unlink()
    with pytest.raises(Conflict):
        preview_mapping(dataset=odd, mapping=MAPPING)


def test_the_api_tries_and_refuses_strangers(odd: Dataset, api: APIClient, charlie_api: APIClient) -> None:
    address = f"/api/datasets/{odd.pk}/mapping-preview"
    answer = api.post(address, {"mapping": MAPPING})
    assert (answer.status_code, answer.data["format"], len(answer.data["rows"])) == (200, "prompt_completion", 5)
    assert api.post(address, {"mapping": {"prompt": {"path": "a["}}}).data["fields"].keys() == {"mapping"}
    assert charlie_api.post(address, {"mapping": MAPPING}).status_code == 404


def form(**values: str) -> dict[str, str]:
    return {"shape": "prompt_completion", "how_prompt": "path", "map_prompt": "q.text", "how_completion": "template",
            "map_completion": "{answers[0].text}!", **values}  # fmt: skip


def test_the_screen_shows_tries_saves_and_applies(odd: Dataset, alice: User, page: Client) -> None:
    address = f"/datasets/{odd.pk}/mapping"
    assert "Map the columns" in page.get(address).content.decode()
    tried = page.post(address, form(), headers={"HX-Request": "true"}).content.decode()
    assert "question 0" in tried
    assert "a!" in tried
    assert "<html" not in tried
    saved = page.post(address, form(action="save", name="odd ones"))
    assert saved.status_code == 200
    mapping = alice.dataset_mappings.get().mapping
    assert mapping == {"prompt": {"path": "q.text"}, "completion": {"template": "{answers[0].text}!"}}
    again = page.get(f"{address}?saved={alice.dataset_mappings.get().pk}").content.decode()
    assert 'value="q.text"' in again
    answer = page.post(address, form(action="apply"))
    assert (answer.status_code, answer["Location"]) == (302, f"/datasets/{odd.pk}")
    odd.refresh_from_db()
    assert (odd.status, odd.mapping) == ("uploaded", mapping)


def test_the_screen_refuses_in_its_form(odd: Dataset, page: Client) -> None:
    address = f"/datasets/{odd.pk}/mapping"
    refused = page.post(address, form(map_prompt="q[", action="apply"))
    assert refused.status_code == 400
    assert "is not a path" in refused.content.decode()
    assert page.post(address, form(action="save")).status_code == 400
    assert page.get(f"{address}?saved=999").status_code == 404
    odd.refresh_from_db()
    assert (odd.status, odd.mapping) == ("invalid", {})


@pytest.mark.parametrize("shape", ["prompt_completion", "openai", "alpaca", "text", "preference", "kto", "nonsense"])
def test_every_shape_has_its_form(shape: str, odd: Dataset, page: Client) -> None:
    assert page.get(f"/datasets/{odd.pk}/mapping?shape={shape}").status_code == 200


def test_roles_are_written_in_the_form(alice: User, page: Client) -> None:
    turns = [{"who": "customer", "says": "Hi"}, {"who": "agent", "says": "Hello."}]
    dataset = make_read(alice, jsonl({"talk": turns}, {"talk": turns}))
    values = {"shape": "openai", "how_messages": "column", "map_messages": "talk", "role_key": "who", "content_key": "says",
              "roles": "customer = user, agent=assistant"}  # fmt: skip
    assert "Hello." in page.post(f"/datasets/{dataset.pk}/mapping", values, headers={"HX-Request": "true"}).content.decode()
    values |= {"roles": "customer = king"}
    assert "one of ours" in page.post(f"/datasets/{dataset.pk}/mapping", values).content.decode()


def test_strangers_see_no_screen(charlie_page: Client, alice: User) -> None:
    dataset = make_dataset(alice)
    for method in ("get", "post"):
        assert getattr(charlie_page, method)(f"/datasets/{dataset.pk}/mapping").status_code == 404
    assert charlie_page.get(f"/datasets/{dataset.pk}/outcome").status_code == 404
