"""Every stored secret can still be read."""

from __future__ import annotations

from collections.abc import Iterator

from finetune.core import crypto
from finetune.core.errors import Conflict
from finetune.operations.findings import BAD, OK, WARN, Finding
from finetune.operations.services.rotate_keys import FIELD, encrypted_rows

NAME = "keys"


def examine() -> Iterator[Finding]:
    number, old, lost = 0, 0, []
    for row in encrypted_rows():
        number += 1
        try:
            crypto.decrypt(getattr(row, FIELD))
            old += not crypto.is_current(getattr(row, FIELD))
        except Conflict:
            lost.append(f"{row._meta.verbose_name} {row.pk}")
    if lost:
        text = f"{len(lost)} of {number} stored secrets can't be read with the keys of now: {', '.join(lost[:5])}."
        yield Finding(
            NAME, BAD, text, "Put the lost key behind the others in FIELD_ENCRYPTION_KEYS, or have their owners enter them again."
        )
    if old:
        text = f"{old} of {number} stored secrets still need an older key."
        yield Finding(NAME, WARN, text, "Run `manage.py rotate_keys`; then the older keys may go.")
    if not (lost or old):
        yield Finding(
            NAME, OK, f"All {number} stored secrets can be read with the newest key." if number else "No secret is stored."
        )
