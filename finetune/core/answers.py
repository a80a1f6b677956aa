"""What operations answer, for the API's schema: answers.json holds real ones, recorded by the tests (tests/answers.py)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("answers.json")
MEDIA = "application/json"
# What is not JSON.
STREAM = 'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\ndata: [DONE]\n\n'
TEXTS = {
    "auth_archive_download": "(the bytes of the ZIP file)",
    "api_training_tensorboard_retrieve": "(the bytes of the event file)",
    "api_datasets_download_retrieve": '{"prompt": "How many legs have 3 dogs?", "completion": "They have 12 legs."}\n',
    "openai_download_file": '{"prompt": "How many legs have 3 dogs?", "completion": "They have 12 legs."}\n',
    "models_exports_download": "(the bytes of the archive or GGUF file)",
    "api_models_test_create": (
        'data: {"type": "started", "models": [1]}\n\n'
        'data: {"type": "token", "model_id": 1, "text": "Hel"}\n\n'
        'data: {"type": "done", "model_id": 1, "prompt_tokens": 12, "tokens": 2, "seconds": 0.08, "tokens_per_second": 25.0, '
        '"first_token_seconds": 0.04, "load_seconds": 0.0, "stop_reason": "stop"}\n\n'
        'data: {"type": "end"}\n\n'
    ),
    "openai_create_chat_completion": STREAM,
    "api_training_logs_retrieve": "Loading the model\nStep 1: loss 2.5013\n",
    "api_training_metrics.csv_retrieve": "seq,step,epoch,time,split,elapsed_seconds,loss\r\n4,1,0.01,2026-11-28T10:30:31.264229+00:00,train,1.2,2.5013\r\n",
}


@cache
def recorded() -> dict[str, dict[str, Any]]:
    """operationId → code → answer."""
    return json.loads(FILE.read_text())


def add_examples(operation: dict[str, Any]) -> None:
    """Put the recorded answer beside the schema of each success."""
    name = operation["operationId"]
    for code, answer in operation["responses"].items():
        for media, content in answer.get("content", {}).items():
            example = recorded().get(name, {}).get(code) if media == MEDIA else TEXTS.get(name)
            if code < "3" and example is not None:
                content.setdefault("example", example)
