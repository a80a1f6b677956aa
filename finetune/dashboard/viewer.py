"""Who looks at a page: request.user as the type checker knows it; `for_user` shows anonymous visitors nothing."""

from django.contrib.auth.models import AnonymousUser

from accounts.models import User

Viewer = User | AnonymousUser
