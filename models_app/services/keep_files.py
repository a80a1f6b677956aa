"""A directory's files become a model's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from finetune.core import storage
from finetune.core.errors import Invalid
from models_app.models import LanguageModel


def keep_files(*, model: LanguageModel, source_dir: Path) -> Path:
    """Put the directory's files under models/<id>/, all or nothing.

    Hard links where the file system allows, copies elsewhere: the source stays whole, so the call can be repeated. When the
    source is gone, what an earlier call kept is taken. Invalid when there is neither.
    """
    target = storage.model_dir(model.pk)
    if not source_dir.is_dir():
        if not target.exists():
            raise Invalid("The run left no model to keep.", code="no_output")
        return target
    try:
        with storage.staged_dir(target) as staging:
            shutil.copytree(source_dir, staging, dirs_exist_ok=True, copy_function=_link)
    except OSError:
        if not target.exists():  # else another call with the same source was quicker
            raise
    return target


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
    return target
