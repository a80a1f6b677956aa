"""The files of a model that go to the Hub, without what only this installation understands."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from models_app.hub_transfer import RECORD
from models_app.models import MANIFEST, LanguageModel

# The manifest names paths and machines of ours; the card says what matters of it. Pickled files are nobody's to run.
UNSENT = {MANIFEST, RECORD, "training_args.bin", "README.md"}


def copy_files(model: LanguageModel, target: Path) -> None:
    """Put them into `target`, as links where that works; an adapter's configuration names its base as the Hub knows it."""
    source = model.directory
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.name not in UNSENT and not path.name.startswith("."):
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            _put(path, place)
    if model.adapter:
        _name_base(model, target / "adapter_config.json")


def _put(source: Path, target: Path) -> None:
    if source.suffix != ".json":
        try:
            os.link(source.resolve(), target)
            return
        except OSError:
            pass  # another file system, or one without links
    shutil.copyfile(source, target)


def _name_base(model: LanguageModel, file: Path) -> None:
    """A path of this machine says nothing elsewhere, and is nobody's business."""
    if not file.exists() or model.base_model is None:
        return
    config = json.loads(file.read_text())
    if Path(str(config.get("base_model_name_or_path", ""))).is_absolute():
        config["base_model_name_or_path"] = model.base_model.repo_id or model.base_model.name
        file.write_text(json.dumps(config, indent=2, sort_keys=True))
