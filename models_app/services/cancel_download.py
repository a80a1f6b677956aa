"""Stop a download and take back what it has brought."""

from __future__ import annotations

from django.utils import timezone

from finetune.core.errors import Conflict
from models_app import hub_transfer
from models_app.announce import announce
from models_app.models import LanguageModel

S = LanguageModel.Status


def cancel_download(*, model: LanguageModel) -> LanguageModel:
    """The model is `remote` again at once; its worker stops within a second and removes what has come.

    Conflict when it is not being downloaded from the Hub.
    """
    words = f"“{model}” is not being downloaded."
    if model.source != LanguageModel.Source.HUB:
        raise Conflict(words, code="not_downloading")
    if not model.move(S.REMOTE, when=S.DOWNLOADING, progress=None, error="", updated_at=timezone.now()):
        raise Conflict(words, code="not_downloading")
    hub_transfer.discard_idle(model.pk)
    announce(model)
    return model
