"""The product's settings with a scratch DATA_DIR, cheap passwords and no rate limits."""

import atexit
import os
import shutil
import tempfile

_scratch = tempfile.mkdtemp(prefix="aift-tests-")
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
os.environ["DATA_DIR"] = _scratch
for _name in ("THROTTLE_LOGIN", "THROTTLE_REGISTER", "THROTTLE_DEFAULT"):
    os.environ[_name] = ""
for _name in ("HOST", "PORT"):
    os.environ.pop(_name, None)

from finetune.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_AUTOREFRESH = True  # straight from the source directories, nothing is collected
if "sqlite3" in DATABASES["default"]["ENGINE"]:  # noqa: F405
    # A file, not memory: threads then queue for the write lock as in the product instead of failing at once.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}  # noqa: F405
