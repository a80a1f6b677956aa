"""Fixes make a new version; the old one stays as it is, and the difference can be seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.doctor.fixes import FIXES, fixer
from datasets_app.formats.rowsfile import iterate
from datasets_app.formats.rules import fixable
from datasets_app.models import Dataset
from datasets_app.services.diff_versions import diff_versions
from datasets_app.services.fix_dataset import fix_dataset
from datasets_app.services.validate_dataset import ingest
from finetune.core.errors import Conflict, Invalid
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_dataset

USER, ANSWER = {"role": "user", "content": "ask"}, {"role": "assistant", "content": "answer"}


def rows_of(dataset: Dataset) -> list[dict]:
    return [row for batch in iterate(dataset.rows_file) for row in batch]


def fixed(dataset: Dataset, *rules: str) -> Dataset:
    made = fix_dataset(dataset=dataset, rules=list(rules))
    ingest(made.pk)
    made.refresh_from_db()
    return made


def broken(alice: User) -> Dataset:
    rows = [*pairs(3), pairs(3)[0], {"prompt": "Mail me", "completion": "At jane@acme.org. "}, "{bad"]
    return make_read(alice, jsonl(*[row | {"topic": "t"} if isinstance(row, dict) else row for row in rows]))


def test_a_new_version_has_the_fixes(alice: User, api: APIClient, django_capture_on_commit_callbacks: Any) -> None:
    dataset = broken(alice)
    before = (rows_of(dataset), dataset.original_file.read_bytes(), dataset.report)
    with django_capture_on_commit_callbacks() as queued:
        answer = api.post(f"/api/datasets/{dataset.pk}/fix", {"rules": ["duplicate", "personal_data", "outer_space"]})
    assert (answer.status_code, answer.data["version"], answer.data["parent"], answer.data["origin"]) == (201, 2, dataset.pk, "fix")
    assert len(queued) == 1
    made = Dataset.objects.get(pk=answer.data["id"])
    ingest(made.pk)
    made.refresh_from_db()
    assert (made.status, made.rows, made.errors) == ("ready", 4, 0)
    assert (made.origin_detail["changed"], made.origin_detail["left_out"], made.origin_detail["unusable"]) == (1, 1, 1)
    assert rows_of(made)[3]["messages"][1]["content"] == "At [email]."
    assert not {"duplicate", "personal_data", "outer_space"} & set(made.report["counts"])
    assert (len(made.content_hash), made.bytes) == (64, made.original_file.stat().st_size)
    dataset.refresh_from_db()
    assert (rows_of(dataset), dataset.original_file.read_bytes(), dataset.report) == before


def test_other_columns_come_along(alice: User) -> None:
    made = fixed(broken(alice), "duplicate")
    assert json.loads(made.original_file.read_text().splitlines()[0])["topic"] == "t"


@pytest.mark.parametrize("content", [
    jsonl({"text": "Once\u200b upon"}, {"text": "The end"}),
    jsonl({"prompt": "Hi\u200b", "chosen": "Hello.", "rejected": "Go."}, {"prompt": "Ho", "chosen": "a", "rejected": "b"}),
    jsonl({"prompt": "Hi\u200b", "completion": "Hello.", "label": False}, {"prompt": "a", "completion": "b", "label": True}),
    jsonl({"conversations": [{"from": "human", "value": "1\u200b?"}, {"from": "gpt", "value": "2"}]}),
])  # fmt: skip
def test_every_kind_is_written_and_read_again(alice: User, content: bytes) -> None:
    dataset = make_read(alice, content)
    made = fixed(dataset, "control_characters")
    assert (made.status, made.kind, made.rows) == ("ready", dataset.kind, dataset.rows)
    old, new = json.dumps(rows_of(dataset)), json.dumps(rows_of(made))
    assert old.replace("\\u200b", "") == new


def test_the_difference_is_shown(alice: User, api: APIClient) -> None:
    dataset = broken(alice)
    made = fixed(dataset, "duplicate", "personal_data")
    told = api.get(f"/api/datasets/{made.pk}/diff", {"with": dataset.pk}).data
    assert (told["counts"], told["total"]) == ({"same": 3, "changed": 1, "removed": 1, "added": 0}, 2)
    assert [row["what"] for row in told["rows"]] == ["removed", "changed"]
    assert told["rows"][1]["before"]["messages"][1]["content"] == "At jane@acme.org. "
    assert told["rows"][1]["after"]["messages"][1]["content"] == "At [email]. "
    told = api.get(f"/api/datasets/{made.pk}/diff", {"with": dataset.pk, "what": "changed", "limit": 1}).data
    assert (told["total"], len(told["rows"])) == (1, 1)
    back = diff_versions(before=made, after=dataset)
    assert back.counts == {"same": 3, "changed": 1, "removed": 0, "added": 1}


def test_the_history_is_told_newest_first(alice: User, api: APIClient) -> None:
    dataset = broken(alice)
    made = fixed(dataset, "duplicate")
    api.post(f"/api/datasets/{made.pk}/split", {"train": 0.5, "validation": 0.5})
    told = api.get(f"/api/datasets/{dataset.pk}/versions").data
    assert [(entry["what"], entry["version"]) for entry in told] == [("split", 2), ("fix", 2), ("upload", 1)]
    assert (told[1]["parent"], told[1]["detail"]["rules"], told[1]["by"]) == (dataset.pk, ["duplicate"], "alice")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([], "at least one"),
        (["nonsense"], "no rule"),
        (["conflicting"], "no automatic fix"),
        (["shouting"], "no automatic"),
        (["secret"], "nothing to fix"),
    ],
)
def test_it_refuses_what_can_not_be_fixed(alice: User, api: APIClient, rules: list, words: str) -> None:
    dataset = broken(alice)
    answer = api.post(f"/api/datasets/{dataset.pk}/fix", {"rules": rules})
    assert answer.status_code == 400
    assert words in answer.data["fields"]["rules"][0]
    assert Dataset.objects.count() == 1


def test_it_refuses_a_dataset_without_rows(alice: User, api: APIClient) -> None:
    dataset = make_dataset(alice, status="uploaded")
    assert api.post(f"/api/datasets/{dataset.pk}/fix", {"rules": ["duplicate"]}).status_code == 409
    assert Dataset.objects.count() == 1


def test_strangers_find_nothing(alice: User, charlie_api: APIClient, charlie_page: Client, api: APIClient, charlie: User) -> None:
    dataset, theirs = broken(alice), make_dataset(charlie)
    for path in ("fix", "versions", "diff", "gates"):
        assert charlie_api.post(f"/api/datasets/{dataset.pk}/{path}").status_code in (404, 405)
        assert charlie_api.get(f"/api/datasets/{dataset.pk}/{path}").status_code in (404, 405)
    assert api.get(f"/api/datasets/{dataset.pk}/diff", {"with": theirs.pk}).status_code == 400
    assert Dataset.objects.count() == 2


def test_a_parent_deleted_meanwhile_is_said_in_words(alice: User) -> None:
    dataset = broken(alice)
    made = fix_dataset(dataset=dataset, rules=["duplicate"])
    with pytest.raises(Conflict, match="next version"):
        from datasets_app.services.delete_dataset import delete_dataset

        delete_dataset(dataset=dataset)
    Dataset.objects.filter(pk=dataset.pk).delete()
    ingest(made.pk)
    made.refresh_from_db()
    assert (made.status, "deleted meanwhile" in made.report["problems"][0]["message"]) == ("invalid", True)


def test_only_versions_of_one_dataset_are_compared(alice: User) -> None:
    with pytest.raises(Invalid, match="one dataset"):
        diff_versions(before=make_dataset(alice), after=make_dataset(alice))


def test_every_rule_that_promises_a_fix_has_one() -> None:
    assert sorted(FIXES) == sorted(fixable())


@pytest.mark.parametrize(
    ("rule", "messages", "after"),
    [
        ("not_alternating", [USER, USER, ANSWER], [USER | {"content": "ask\n\nask"}, ANSWER]),
        ("ends_without_answer", [USER, ANSWER, USER], [USER, ANSWER]),
        (
            "system_not_first",
            [USER, {"role": "system", "content": "s"}, ANSWER],
            [{"role": "system", "content": "s"}, USER, ANSWER],
        ),
        ("unknown_keys", [USER | {"mood": 1}, ANSWER], [USER, ANSWER]),
        ("outer_space", [USER | {"content": " ask"}, ANSWER | {"content": " answer\n"}], [USER | {"content": " ask"}, ANSWER]),
        ("special_tokens", [USER, ANSWER | {"content": "<|im_end|>"}], None),
        ("placeholder_text", [USER, ANSWER | {"content": "NaN"}], None),
        ("nothing_weighted", [USER, ANSWER | {"weight": 0}], None),
    ],
)
def test_each_fix_does_what_it_says_and_nothing_the_second_time(rule: str, messages: list, after: list | None) -> None:
    once = fixer([rule])({"messages": messages, "tools": None})
    assert once == ({"messages": after, "tools": None} if after else None)
    if once:
        assert fixer([rule])(once) == once
