"""Rows for a run that somebody starts by hand: JSON lines into the Parquet that the platform writes for its own runs.

{"messages": […], "tools"?: […]} · {"text": …} · {"prompt": […], "chosen": […], "rejected": […]} · {"prompt": […],
"completion": […], "label": true}; each […] is a list of {role, content}. The platform reads many more formats (datasets_app).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH = 1000
COLUMNS = {
    "messages": str, "tools": str, "text": str, "prompt": str, "chosen": str, "rejected": str, "completion": str, "label": bool,
}  # fmt: skip


def write_rows(source: Path, target: Path) -> int:
    """Convert JSON lines; returns the number of rows. ValueError names the line that is no object or has no known key."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    types = {str: pa.string(), bool: pa.bool_()}
    schema = pa.schema([("line", pa.int64()), *((name, types[kind]) for name, kind in COLUMNS.items())])
    count = 0
    with parquet.ParquetWriter(target, schema) as writer:
        for rows in _batches(source):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _batches(source: Path) -> Iterator[list[dict[str, Any]]]:
    rows = []
    with source.open(encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                rows.append(_row(line, text))
            if len(rows) == BATCH:
                yield rows
                rows = []
    if rows:
        yield rows


def _row(line: int, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ValueError(f"Line {line} is not JSON: {error}.") from error
    if not isinstance(values, dict) or not COLUMNS.keys() & values.keys():
        raise ValueError(f"Line {line} has none of the keys {', '.join(COLUMNS)}.")
    known = {name: values[name] for name in COLUMNS if values.get(name) is not None}
    return {"line": line} | {name: json.dumps(value) if isinstance(value, list) else value for name, value in known.items()}
