"""The ASGI entry: HTTP to Django, WebSockets to the apps' consumers, origin-checked."""

import os
import tempfile

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finetune.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()  # loads the apps; the imports below need them

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from accounts.ws_auth import SocketAuth  # noqa: E402
from finetune.core import store_care  # noqa: E402
from finetune.core.body_limit import BodyLimit  # noqa: E402
from finetune.urls import websocket  # noqa: E402

store_care.keep_tidy()
tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)  # Django keeps request bodies there: on the data disk, not in a small /tmp
application = ProtocolTypeRouter({"http": BodyLimit(http), "websocket": SocketAuth(URLRouter(websocket))})
