"""Stop an import into Ollama."""

from __future__ import annotations

import contextlib

from django.utils import timezone

from finetune.core.errors import Conflict, DomainError
from models_app.announce import announce
from models_app.models import Export, OllamaCopy
from models_app.services.cancel_export import cancel_export
from models_app.services.import_ollama import ACTIVE


def cancel_ollama(*, copy: OllamaCopy) -> OllamaCopy:
    """The copy, cancelled; its worker notices within a second. An export that it began is stopped with it; what was sent stays on the
    server, where the next import finds it. Conflict when it is not under way.
    """
    if not copy.move(OllamaCopy.Status.CANCELLED, when=ACTIVE, progress=None, updated_at=timezone.now()):
        raise Conflict(f"This import is {copy.status}; there is nothing to cancel.", code=f"import_{copy.status}")
    copy.refresh_from_db(fields=["wanted"])  # the worker may just have written down what it began
    export = Export.objects.filter(pk=copy.wanted.get("export"), owner=copy.owner_id).first()
    if export is not None and export.busy:
        with contextlib.suppress(DomainError):  # it has just ended
            cancel_export(export=export)
    if copy.model:
        announce(copy.model)
    return copy
