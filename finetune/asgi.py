"""The ASGI entry: HTTP to Django, WebSockets to the apps' consumers, origin-checked."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finetune.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()  # loads the apps; the imports below need them

from accounts.ws_auth import SocketAuth  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from finetune.urls import websocket  # noqa: E402

application = ProtocolTypeRouter({"http": http, "websocket": SocketAuth(URLRouter(websocket))})
