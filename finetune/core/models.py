"""What the shared store holds (store.py). Without one there are no rows."""

from __future__ import annotations

from django.db import models


class StoredTree(models.Model):
    """A file or a directory that lies whole in the shared store. The row is written last, so what has one is never torn."""

    key = models.CharField(max_length=300, unique=True, help_text="Its path under DATA_DIR, on every machine.")
    files = models.JSONField(help_text='{name: {"bytes", "sha256"}}; the name of a lone file is "".')
    digest = models.CharField(max_length=64, help_text="SHA-256 over names and sums: which state of it this is.")
    bytes = models.PositiveBigIntegerField(default=0)
    gone_at = models.DateTimeField(null=True, help_text="When it was deleted: then every machine removes its copy.")
    stored_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key
