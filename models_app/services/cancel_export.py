"""Stop an export that is being made."""

from __future__ import annotations

from django.utils import timezone

from finetune.core.errors import Conflict
from models_app.announce import announce
from models_app.models import Export
from models_app.services.export_model import ACTIVE


def cancel_export(*, export: Export) -> Export:
    """The export, cancelled; its worker notices within a second and removes what it had. Conflict when it is not being made."""
    if not export.move(Export.Status.CANCELLED, when=ACTIVE, progress=None, updated_at=timezone.now()):
        raise Conflict(f"This export is {export.status}; there is nothing to cancel.", code=f"export_{export.status}")
    announce(export.model)
    return export
