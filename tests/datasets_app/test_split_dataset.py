"""Dividing rows: exact, repeatable, and what belongs together stays together."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.formats.rowsfile import iterate
from datasets_app.models import Dataset
from datasets_app.services import split_dataset as module
from datasets_app.services.reconcile_datasets import reconcile_datasets
from datasets_app.services.split_dataset import divide_rows, split_dataset
from datasets_app.services.validate_dataset import ingest, validate_dataset
from finetune.core.errors import Conflict, Invalid
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_dataset, make_job


def lines_of(path: Path) -> list[int]:
    return [row["line"] for batch in iterate(path) for row in batch]


def test_every_row_is_in_one_split(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*pairs(100)))
    answer = api.post(f"/api/datasets/{dataset.pk}/split", {"train": 0.8, "validation": 0.1, "test": 0.1, "seed": 7})
    assert answer.status_code == 200, answer.data
    assert answer.data["splits"] == {"train": 80, "validation": 10, "test": 10}
    assert (answer.data["split_plan"]["by"], answer.data["split_plan"]["leakage"]["rows"]) == ("alice", 0)
    dataset.refresh_from_db()
    parts = [lines_of(dataset.split_file(name)) for name in ("train", "validation", "test")]
    assert sorted(line for part in parts for line in part) == list(range(1, 101))
    assert parts[1] != list(range(81, 91))
    assert all(part == sorted(part) for part in parts)


def test_the_same_seed_and_file_give_the_same_split_everywhere(alice: User, charlie: User) -> None:
    found = []
    for owner in (alice, charlie):
        dataset = split_dataset(dataset=make_read(owner, jsonl(*pairs(50))), train=0.8, validation=0.2, seed=3)
        found.append(lines_of(dataset.split_file("validation")))
    other = split_dataset(dataset=dataset, train=0.8, validation=0.2, seed=4)
    assert found[0] == found[1] != lines_of(other.split_file("validation"))
    assert found[0] == [1, 8, 13, 15, 16, 26, 32, 40, 49, 50]  # on every machine and in every version


def test_counts_leave_the_rest_out(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*pairs(50)))
    told = api.post(f"/api/datasets/{dataset.pk}/split", {"train": 20, "validation": 5}).data
    assert (told["splits"], told["split_plan"]["unused"]) == ({"train": 20, "validation": 5}, 25)


def test_without_shuffling_the_order_of_the_file_decides(alice: User) -> None:
    dataset = split_dataset(dataset=make_read(alice, jsonl(*pairs(10))), train=0.8, validation=0.2, shuffle=False)
    assert lines_of(dataset.split_file("validation")) == [9, 10]


def test_equal_prompts_stay_together(alice: User) -> None:
    rows = [{"prompt": f"Question {number // 2}", "completion": f"Answer {number}"} for number in range(40)]
    dataset = split_dataset(dataset=make_read(alice, jsonl(*rows)), train=0.5, validation=0.5)
    assert dataset.splits == {"train": 20, "validation": 20}
    pairs_of = [{(line - 1) // 2 for line in lines_of(dataset.split_file(name))} for name in dataset.splits]
    assert not pairs_of[0] & pairs_of[1]
    assert dataset.split_plan["leakage"]["prompts"] == 0


def test_a_column_groups_and_another_one_is_balanced(alice: User) -> None:
    rows = [
        pair | {"customer": number // 4, "topic": "bill" if number % 16 < 4 else "pump"} for number, pair in enumerate(pairs(160))
    ]
    dataset = make_read(alice, jsonl(*rows))
    split_dataset(dataset=dataset, train=0.5, validation=0.5, group_by="customer", stratify_by="topic")
    dataset.refresh_from_db()
    lines = {name: lines_of(dataset.split_file(name)) for name in dataset.splits}
    customers = [{rows[line - 1]["customer"] for line in part} for part in lines.values()]
    assert not customers[0] & customers[1]
    assert {name: sum(rows[line - 1]["topic"] == "bill" for line in part) for name, part in lines.items()} == {
        "train": 20, "validation": 20
    }  # fmt: skip


def test_nearly_equal_rows_in_two_splits_are_reported(alice: User) -> None:
    long = "The bicycle shop opens at nine in the morning and closes at six in the evening on every day but Sunday"
    rows = [
        *pairs(10),
        {"prompt": f"{long} and Monday.", "completion": "Yes."},
        {"prompt": f"{long} and monday !", "completion": "Yes."},
    ]
    dataset = split_dataset(dataset=make_read(alice, jsonl(*rows)), train=11, validation=1, shuffle=False)
    leakage = dataset.split_plan["leakage"]
    assert (leakage["rows"], leakage["prompts"], leakage["near"]) == (0, 0, 1)
    assert leakage["examples"] == [{"what": "near", "split": "validation", "line": 12, "twin_split": "train", "twin_line": 11}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "train"),
        ({"train": 0.8, "validation": 0.3}, "train"),
        ({"train": -1}, "train"),
        ({"train": 0.5, "validation": 10}, "train"),
        ({"train": 30, "validation": 1}, "train"),
        ({"train": 0, "validation": 1}, "train"),
        ({"train": 0.5, "seed": "x"}, "seed"),
        ({"train": 0.5, "validation": 0.5, "group_by": "nowhere"}, "group_by"),
        ({"train": 0.5, "validation": 0.5, "stratify_by": "nowhere"}, "stratify_by"),
        ({"train": 0.5, "valid": 0.5}, "valid"),
    ],
)
def test_it_refuses_what_can_not_be(alice: User, api: APIClient, body: dict, field: str) -> None:
    dataset = make_read(alice, jsonl(*pairs(30)))
    answer = api.post(f"/api/datasets/{dataset.pk}/split", body)
    assert (answer.status_code, list(answer.data["fields"])) == (400, [field])
    dataset.refresh_from_db()
    assert (dataset.splits, dataset.split_plan) == ({"train": 30}, {})
    assert sorted(path.name for path in dataset.directory.iterdir()) == ["original.jsonl", "rows.parquet"]


def test_one_group_can_not_be_divided(alice: User) -> None:
    dataset = make_read(alice, jsonl(*[pair | {"site": "a"} for pair in pairs(4)]))
    with pytest.raises(Invalid, match="too few"):
        split_dataset(dataset=dataset, train=0.5, validation=0.5, group_by="site")


def test_it_refuses_the_wrong_state(alice: User, api: APIClient) -> None:
    for status in ("uploaded", "invalid"):
        assert api.post(f"/api/datasets/{make_dataset(alice, status=status).pk}/split", {"train": 0.5}).status_code == 409
    used = make_job(alice, status="running", name="evening run").dataset
    with pytest.raises(Conflict, match="evening run"):
        split_dataset(dataset=used, train=0.5, validation=0.5)
    used.refresh_from_db()
    assert used.split_plan == {}


def test_strangers_find_nothing(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    dataset = make_dataset(alice)
    assert charlie_api.post(f"/api/datasets/{dataset.pk}/split", {"train": 0.5}).status_code == 404
    dataset.refresh_from_db()
    assert dataset.split_plan == {}


def test_a_new_split_replaces_the_old_one_and_other_rows_end_it(alice: User, django_capture_on_commit_callbacks: Any) -> None:
    dataset = make_read(alice, jsonl(*pairs(20)))
    for seed in (1, 2):
        with django_capture_on_commit_callbacks(execute=True):
            split_dataset(dataset=dataset, train=0.5, validation=0.5, seed=seed)
    assert len([path for path in dataset.directory.iterdir() if path.is_dir()]) == 1
    validate_dataset(dataset=dataset, mapping={"prompt": "completion", "completion": "prompt"})
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.splits, dataset.split_plan) == ({"train": 20}, {})
    assert dataset.split_file("train") == dataset.rows_file


def test_a_dataset_read_again_meanwhile_keeps_its_state(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_read(alice, jsonl(*pairs(20)))
    real = module.write_splits

    def overtaken(*args: Any) -> None:
        real(*args)
        type(dataset).objects.filter(pk=dataset.pk).update(attempt=9)

    monkeypatch.setattr(module, "write_splits", overtaken)
    with pytest.raises(Conflict, match="changed"):
        split_dataset(dataset=dataset, train=0.5, validation=0.5)
    assert sorted(path.name for path in dataset.directory.iterdir()) == ["original.jsonl", "rows.parquet"]


def test_splits_are_previewed_and_downloaded(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*pairs(20)))
    split_dataset(dataset=dataset, train=0.5, validation=0.5)
    lines = lines_of(dataset.split_file("validation"))
    told = api.get(f"/api/datasets/{dataset.pk}/preview", {"split": "validation", "limit": 3, "offset": 8}).data
    assert (told["total"], [row["line"] for row in told["rows"]]) == (10, lines[8:])
    answer = api.get(f"/api/datasets/{dataset.pk}/download", {"split": "validation", "format": "csv"})
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert (rows[0], len(rows)) == (["messages"], 11)
    assert json.loads(rows[1][0])[0]["content"] == f"What is {lines[0] - 1} + 1?"
    answer = api.get(f"/api/datasets/{dataset.pk}/download", {"split": "train"})
    assert "rows.train.jsonl" in answer["Content-Disposition"]
    assert len(b"".join(answer.streaming_content).splitlines()) == 10


def test_many_rows_with_their_prompts_together_need_no_second_look(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEARLY_AMONG", 5)
    dataset = split_dataset(dataset=make_read(alice, jsonl(*pairs(10))), train=0.5, validation=0.5)
    assert dataset.split_plan["leakage"] == {"rows": 0, "prompts": 0, "near": None, "examples": []}


def test_dividing_loads_nothing_heavy(alice: User) -> None:
    """It happens in the web process, which stays small: pandas alone would be 50 MB."""
    dataset = make_read(alice, jsonl(*pairs(20)))
    program = (
        "import sys; from pathlib import Path; from datasets_app.formats.splits import Wish, divide, write_splits;"
        "file, folder = Path(sys.argv[1]), Path(sys.argv[2]); write_splits(file, folder, divide(file, Wish(train=0.5, validation=0.5)));"
        "print(sorted({'pandas', 'torch', 'transformers', 'pyarrow.compute'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(dataset.rows_file), str(dataset.directory / "trial")]
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=settings.BASE_DIR).stdout.strip() == "[]"


@pytest.fixture
def many(alice: User, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Ten rows count as many."""
    monkeypatch.setattr("datasets_app.services.split_dataset.AT_ONCE", 9)
    return make_read(alice, jsonl(*({"prompt": f"q{n}", "completion": "a", "topic": "x" if n else None} for n in range(10))))


def divided_later(api: APIClient, dataset: Dataset, capture: Any, **wish: Any) -> Dataset:
    with capture() as queued:
        answer = api.post(f"/api/datasets/{dataset.pk}/split", wish)
    assert (answer.status_code, answer.data["division"]["state"], len(queued)) == (202, "queued", 1)
    dataset.refresh_from_db()
    divide_rows(dataset.pk, dataset.division["token"])
    dataset.refresh_from_db()
    return dataset


def test_many_rows_are_divided_by_a_worker(
    many: Dataset, api: APIClient, client: Client, alice: User, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as queued:
        answer = api.post(f"/api/datasets/{many.pk}/split", {"train": 0.8, "validation": 0.2})
    assert (answer.status_code, answer.data["splits"], answer.data["division"], len(queued)) == (
        202,
        {"train": 10},
        {"state": "queued"},
        1,
    )
    assert api.post(f"/api/datasets/{many.pk}/split", {"train": 1}).status_code == 409
    client.force_login(alice)
    assert "Waiting for a worker to divide" in client.get(f"/datasets/{many.pk}/split").content.decode()
    many.refresh_from_db()
    token = many.division["token"]
    divide_rows(many.pk, token)
    divide_rows(many.pk, token)  # a second delivery
    many.refresh_from_db()
    assert (many.splits, many.division, many.split_plan["by"]) == ({"train": 8, "validation": 2}, None, "alice")
    assert len([path for path in many.directory.iterdir() if path.name.startswith("splits-")]) == 1


def test_a_wish_that_can_not_be_is_refused_at_once_or_said_later(
    many: Dataset, api: APIClient, client: Client, alice: User, django_capture_on_commit_callbacks: Any
) -> None:
    assert api.post(f"/api/datasets/{many.pk}/split", {"train": 11}).status_code == 400
    divided_later(api, many, django_capture_on_commit_callbacks, train=0.8, validation=0.2, group_by="nothing")
    assert many.division["state"] == "failed"
    client.force_login(alice)
    assert "has no column “nothing”" in client.get(f"/datasets/{many.pk}/split").content.decode()
    divided_later(api, many, django_capture_on_commit_callbacks, train=0.5, validation=0.5)
    assert (many.splits, many.division) == ({"train": 5, "validation": 5}, None)


def test_other_rows_end_a_division_and_a_lost_one_is_taken_up(
    many: Dataset, api: APIClient, django_capture_on_commit_callbacks: Any
) -> None:
    api.post(f"/api/datasets/{many.pk}/split", {"train": 0.8, "validation": 0.2})
    many.refresh_from_db()
    token = many.division["token"]
    Dataset.objects.filter(pk=many.pk).update(updated_at=timezone.now() - timedelta(minutes=5))
    with django_capture_on_commit_callbacks() as queued:
        assert reconcile_datasets() == 1
    assert len(queued) == 1
    divide_rows(many.pk, token)  # the message that came late is for nobody
    many.refresh_from_db()
    assert (many.division["state"], many.division["restarts"], many.splits) == ("queued", 1, {"train": 10})
    validate_dataset(dataset=many)
    many.refresh_from_db()
    assert many.division is None
