"""docs/engine.md's way to train without the platform: its spec, its rows, its commands, for every method."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.engine.conftest import conversation, events
from training.engine.__main__ import main
from training.engine.options import METHOD_KINDS
from training.engine.rundir import RunDir

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
PAGE = Path(__file__).parents[2] / "docs" / "engine.md"


def lines(kind: str) -> list[dict]:
    talks = [conversation(index) for index in range(12)]
    wrong = [{"role": "assistant", "content": "I don't know."}]
    return {
        "sft": [{"messages": talk} for talk in talks],
        "text": [{"text": talk[1]["content"]} for talk in talks],
        "preference": [{"prompt": talk[:1], "chosen": talk[1:], "rejected": wrong} for talk in talks],
        "unpaired": [{"prompt": talk[:1], "completion": talk[1:], "label": bool(index % 2)} for index, talk in enumerate(talks)],
    }[kind]


@pytest.mark.parametrize(("method", "kind"), [(method, kinds[0]) for method, kinds in METHOD_KINDS.items()])
def test_the_documented_spec_trains_each_method(tmp_path, tiny_model, method, kind, capsys) -> None:
    run_dir = RunDir(tmp_path / "run")
    run_dir.path.mkdir()
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(json.dumps(line) for line in lines(kind)))
    assert main(["rows", str(source), str(run_dir.path / "rows.parquet")]) == 0
    assert "12 rows" in capsys.readouterr().out
    spec = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    spec["model"]["path"] = str(tiny_model)
    spec |= {"method": method, "data": spec["data"] | {"kind": kind}}
    spec["config"] |= {"max_steps": 2, "sample_max_new_tokens": 2, "max_length": 64}
    run_dir.spec_file.write_text(json.dumps(spec))
    assert main(["run", str(run_dir.path)]) == 0
    assert events(run_dir, "finished")[0]["outcome"] == "succeeded"
    assert events(run_dir, "sample")[-1]["prompt"] == "What does tea cost?"
    assert (run_dir.output / "manifest.json").exists()


@pytest.mark.parametrize(
    ("text", "words"), [("{", "Line 1 is not JSON"), ('{"a": 1}', "Line 1 has none of the keys"), ("[]", "Line 1")]
)
def test_a_line_that_is_no_row_is_named(tmp_path, capsys, text, words) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    assert main(["rows", str(tmp_path / "rows.jsonl"), str(tmp_path / "rows.parquet")]) == 2
    assert words in capsys.readouterr().err
