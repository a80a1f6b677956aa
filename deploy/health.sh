#!/bin/sh
# Whether this container's process works: web (it answers), worker NAME (it answers through the broker), beat (it has sent something lately).
set -eu
export DJANGO_SETTINGS_MODULE="${DJANGO_SETTINGS_MODULE:-finetune.settings}"
cd "$(dirname "$0")/.."
case ${1:-web} in
web) exec python -c "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 8000}/healthz\", timeout=4)" ;;
worker) exec python -m celery --quiet -A celery_worker inspect ping --timeout 10 -d "${2:-train}@$(hostname)" ;;
beat) exec python -c "
import django, sys, time
django.setup()
from django.core.cache import cache
from celery_worker.lifecycle import BEAT_SEEN
sys.exit(time.time() - (cache.get(BEAT_SEEN) or 0) > 120)" ;;
*) exit 2 ;;
esac
