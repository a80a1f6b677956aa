"""Downloads: the file byte for byte, or the rows; streamed, also over ASGI."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_dataset


def body(answer: object) -> bytes:
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def test_the_original_comes_back_byte_for_byte(alice: User, api: APIClient) -> None:
    content = b"\xef\xbb\xbf" + jsonl(*pairs(3), "broken")
    dataset = make_read(alice, content, "Grüße, “alle”.jsonl")
    answer = api.get(f"/api/datasets/{dataset.pk}/download")
    assert body(answer) == content
    assert answer["Content-Length"] == str(len(content))
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''Gr%C3%BC")


def test_the_rows_come_as_json_lines_or_parquet(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*pairs(1200), "broken"))
    lines = body(api.get(f"/api/datasets/{dataset.pk}/download", {"format": "jsonl", "split": "train"})).decode().splitlines()
    assert len(lines) == 1200
    assert json.loads(lines[5])["messages"][0]["content"] == "What is 5 + 1?"
    assert set(json.loads(lines[5])) == {"messages"}
    parquet = body(api.get(f"/api/datasets/{dataset.pk}/download", {"format": "parquet"}))
    assert pq.read_table(io.BytesIO(parquet)).num_rows == 1200


def test_downloaded_rows_can_be_uploaded_again(alice: User, api: APIClient) -> None:
    first = make_read(alice, jsonl(*pairs(20)))
    rows = body(api.get(f"/api/datasets/{first.pk}/download", {"format": "jsonl"}))
    again = make_read(alice, rows)
    assert (again.format, again.rows, again.errors) == ("openai", 20, 0)


@pytest.mark.parametrize(
    ("query", "field"), [({"format": "docx"}, "format"), ({"split": "x"}, "split"), ({"fromat": "x"}, "fromat")]
)
def test_it_refuses_what_it_does_not_know(alice: User, api: APIClient, query: dict, field: str) -> None:
    answer = api.get(f"/api/datasets/{make_dataset(alice).pk}/download", query)
    assert answer.status_code == 400
    assert list(answer.data["fields"]) == [field]


def test_rows_that_are_not_there_are_refused_but_the_file_is_given(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, b"What?,1\n", "rows.csv")
    assert api.get(f"/api/datasets/{dataset.pk}/download", {"format": "jsonl"}).status_code == 409
    assert body(api.get(f"/api/datasets/{dataset.pk}/download")) == b"What?,1\n"
    dataset.original_file.unlink()
    assert api.get(f"/api/datasets/{dataset.pk}/download").status_code == 409


def test_strangers_find_nothing(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    dataset = make_read(alice, jsonl(*pairs(2)))
    assert charlie_api.get(f"/api/datasets/{dataset.pk}/download").status_code == 404
    assert charlie_page.get(f"/datasets/{dataset.pk}/download").status_code == 404


@pytest.mark.django_db(transaction=True)
async def test_over_asgi_it_is_streamed_piece_by_piece(alice: User) -> None:
    content = jsonl(*pairs(20_000))
    dataset = await sync_to_async(make_read)(alice, content)
    client = AsyncClient()
    await sync_to_async(client.force_login)(alice)
    answer = await client.get(f"/datasets/{dataset.pk}/download")
    pieces = [piece async for piece in answer.streaming_content]
    assert b"".join(pieces) == content
    assert len(pieces) > 2
