"""/v1/files: datasets as files, in OpenAI's words."""

from __future__ import annotations

import io
from typing import Any

from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from tests.factories import make_dataset, make_job

LINE = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}\n'


def sent(client: APIClient, content: bytes = LINE, name: str = "x.jsonl", **values: Any) -> Any:
    file = io.BytesIO(content)
    file.name = name
    return client.post("/v1/files", {"file": file, "purpose": "fine-tune", **values}, format="multipart")


def test_a_file_goes_in_and_comes_out(bearer: APIClient, alice: User) -> None:
    made = sent(bearer)
    assert made.status_code == 200, made.data
    dataset = Dataset.objects.get()
    assert made.data["id"] == f"file-{dataset.pk}"
    assert (made.data["object"], made.data["purpose"], made.data["bytes"]) == ("file", "fine-tune", len(LINE))
    assert bearer.get(f"/v1/files/file-{dataset.pk}").data == made.data
    content = bearer.get(f"/v1/files/file-{dataset.pk}/content")
    assert b"".join(content.streaming_content) == LINE
    assert bearer.delete(f"/v1/files/file-{dataset.pk}").data == {"id": made.data["id"], "object": "file", "deleted": True}
    assert not Dataset.objects.exists()


def test_the_status_is_that_of_the_dataset(bearer: APIClient, alice: User) -> None:
    problems = {"problems": [{"severity": "error", "message": "Line 3 is no JSON."}]}
    make_dataset(alice, status="invalid", report=problems)
    make_dataset(alice, status="validating")
    make_dataset(alice)
    found = bearer.get("/v1/files").data["data"]
    assert [file["status"] for file in found] == ["processed", "uploaded", "error"]
    assert found[2]["status_details"] == "Line 3 is no JSON."


def test_lists_go_on_after_a_cursor(bearer: APIClient, alice: User) -> None:
    ids = [f"file-{make_dataset(alice).pk}" for _ in range(3)]
    first = bearer.get("/v1/files?limit=2").data
    assert ([file["id"] for file in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
    rest = bearer.get(f"/v1/files?limit=2&after={first['last_id']}").data
    assert ([file["id"] for file in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    assert bearer.get("/v1/files?order=asc").data["data"][0]["id"] == ids[0]
    assert bearer.get("/v1/files?purpose=assistants").data["data"] == []


def test_refusals_have_openais_shape(bearer: APIClient, anonymous_api: APIClient) -> None:
    told = sent(bearer, purpose="assistants")
    assert (told.status_code, told.data["error"]["param"], told.data["error"]["type"]) == (400, "purpose", "invalid_request_error")
    assert sent(bearer, name="x.exe").data["error"]["param"] == "file"
    assert bearer.get("/v1/files?limit=0").data["error"]["param"] == "limit"
    assert bearer.get("/v1/files?after=zebra").data["error"]["param"] == "after"
    assert bearer.get("/v1/files/file-99").json()["error"]["code"] == "not_found"
    refused = anonymous_api.get("/v1/files")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert not Dataset.objects.exists()


def test_a_file_that_a_job_learned_from_stays(bearer: APIClient, alice: User, dataset: Dataset) -> None:
    make_job(alice, dataset=dataset, status="succeeded")
    told = bearer.delete(f"/v1/files/file-{dataset.pk}")
    assert (told.status_code, told.data["error"]["code"]) == (409, "in_use")
    assert Dataset.objects.exists()
