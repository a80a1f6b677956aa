"""Showing rows: any page of them, searched or not."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.services.preview_dataset import preview_dataset
from finetune.core.errors import Conflict, Invalid
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_dataset


def test_rows_come_from_any_offset(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*pairs(30)))
    told = api.get(f"/api/datasets/{dataset.pk}/preview", {"offset": 28, "limit": 5}).data
    assert {name: told[name] for name in ("columns", "total", "offset", "limit")} == {
        "columns": ["messages"], "total": 30, "offset": 28, "limit": 5
    }  # fmt: skip
    assert [row["line"] for row in told["rows"]] == [29, 30]
    assert told["rows"][0]["messages"][1] == {"role": "assistant", "content": "It is 29."}
    assert api.get(f"/api/datasets/{dataset.pk}/preview", {"offset": 30}).data["rows"] == []


def test_rows_are_searched(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*pairs(30)))
    told = api.get(f"/api/datasets/{dataset.pk}/preview", {"search": "is 7 +", "limit": 5}).data
    assert (told["total"], [row["line"] for row in told["rows"]]) == (1, [8])


def test_tools_are_shown_where_a_row_has_them(alice: User) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    dataset = make_read(alice, jsonl({"messages": turns}, {"messages": turns, "tools": [{"name": "add"}]}))
    preview = preview_dataset(dataset=dataset)
    assert preview.columns == ["messages", "tools"]
    assert [row["tools"] for row in preview.rows] == [None, [{"type": "function", "function": {"name": "add"}}]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"offset": -1}, "offset"),
        ({"offset": "x"}, "offset"),
        ({"limit": 0}, "limit"),
        ({"limit": 1000}, "limit"),
        ({"split": "test"}, "split"),
        ({"ofset": 3}, "ofset"),
        ({"model_id": 3}, "model_id"),
    ],
)
def test_it_refuses_what_it_does_not_understand(alice: User, api: APIClient, query: dict, field: str) -> None:
    dataset = make_dataset(alice)
    answer = api.get(f"/api/datasets/{dataset.pk}/preview", query)
    assert answer.status_code == 400
    assert list(answer.data["fields"]) == [field]


def test_the_verb_checks_for_itself(alice: User) -> None:
    dataset = make_dataset(alice)
    for wrong in ({"offset": -1}, {"limit": 0}, {"limit": 201}, {"split": "test"}):
        with pytest.raises(Invalid):
            preview_dataset(dataset=dataset, **wrong)


@pytest.mark.parametrize("status", ["uploaded", "validating", "invalid"])
def test_it_refuses_a_dataset_without_rows(alice: User, api: APIClient, status: str) -> None:
    dataset = make_dataset(alice, status=status)
    with pytest.raises(Conflict):
        preview_dataset(dataset=dataset)
    assert api.get(f"/api/datasets/{dataset.pk}/preview").status_code == 409


def test_htmx_searches_within_the_page(alice: User, page: Client) -> None:
    dataset = make_read(alice, jsonl(*pairs(30)))
    answer = page.get(f"/datasets/{dataset.pk}?search=is+29", headers={"HX-Request": "true", "HX-Target": "rows"})
    text = answer.content.decode()
    assert 'id="rows"' in text
    assert "What is 29 + 1?" in text
    assert "What is 0 + 1?" not in text


def test_strangers_find_nothing(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    dataset = make_dataset(alice)
    assert charlie_api.get(f"/api/datasets/{dataset.pk}/preview").status_code == 404
    assert charlie_page.get(f"/datasets/{dataset.pk}").status_code == 404


def test_the_page_shows_rows_as_conversations_and_problems_with_their_lines(alice: User, page: Client) -> None:
    dataset = make_read(alice, jsonl(*pairs(36), "this is no JSON"))
    answer = page.get(f"/datasets/{dataset.pk}")
    text = answer.content.decode()
    assert "What is 0 + 1?" in text
    assert "Line 37" in text
    assert "Lines that are not JSON" in text
    assert "?page=2" in text
    assert "every 1s" not in text
    assert "What is 10 + 1?" in page.get(f"/datasets/{dataset.pk}?page=2").content.decode()
    searched = page.get(f"/datasets/{dataset.pk}?search=is+35").content.decode()
    assert "What is 35 + 1?" in searched
    assert "What is 0 + 1?" not in searched
    assert page.get(f"/datasets/{dataset.pk}?page=99999999999999999999").status_code == 200


@pytest.mark.parametrize("file", [
    jsonl({"text": "Once upon a time."}, {"text": "The end."}),
    jsonl({"prompt": "Hi", "chosen": "Hello.", "rejected": "Go away."}),
    jsonl({"prompt": "Hi", "completion": "Hello.", "label": False}),
    jsonl({"conversations": [{"from": "human", "value": "1?"}, {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'}]}),
])  # fmt: skip
def test_the_page_shows_every_kind(alice: User, page: Client, file: bytes) -> None:
    dataset = make_read(alice, file)
    text = page.get(f"/datasets/{dataset.pk}").content.decode()
    assert any(words in text for words in ("Once upon a time.", "Go away.", "bad</span>", "add({&quot;a&quot;: 1})"))


def test_what_a_row_holds_is_text_on_the_page(alice: User, page: Client) -> None:
    dataset = make_read(alice, jsonl({"prompt": "<script>alert(1)</script>", "completion": "<b>x</b>"}, "<i>broken"))
    text = page.get(f"/datasets/{dataset.pk}").content.decode()
    assert "<script>alert" not in text
    assert "<b>x" not in text
    assert "<i>broken" not in text


def test_the_page_follows_reading(alice: User, page: Client) -> None:
    progress = {"done": 50, "total": 200, "unit": "bytes", "rate": 10, "eta_seconds": 15}
    dataset = make_dataset(alice, status="validating", progress=progress)
    text = page.get(f"/datasets/{dataset.pk}", headers={"HX-Request": "true", "HX-Target": "live"}).content.decode()
    assert "<html" not in text
    assert 'hx-trigger="every 1s"' in text
    assert "50 B of 200 B" in text
    assert 'value="0.2500"' in text
