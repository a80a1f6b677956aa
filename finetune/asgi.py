"""The ASGI entry: HTTP to Django, WebSockets to the apps' consumers, origin-checked."""

import gc
import os
import tempfile

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finetune.settings")

import django

django.setup(set_prefix=False)  # the imports below need the apps

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from accounts.ws_auth import SocketAuth  # noqa: E402
from finetune.core import store_care  # noqa: E402
from finetune.core.body_limit import BodyLimit  # noqa: E402
from finetune.core.threaded import Threaded  # noqa: E402
from finetune.urls import websocket  # noqa: E402

store_care.keep_tidy()
tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)  # Django keeps request bodies there: on the data disk, not in a small /tmp
application = ProtocolTypeRouter({"http": BodyLimit(Threaded()), "websocket": SocketAuth(URLRouter(websocket))})
# All that is loaded by now stays: collecting garbage need not look at it again and again, 200 ms in which nobody is answered.
gc.freeze()
