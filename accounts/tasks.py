"""Background halves, so that Celery finds them."""

from accounts.services.notify import deliver

__all__ = ["deliver"]
