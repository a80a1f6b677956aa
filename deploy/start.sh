#!/bin/sh
# Becomes one process of an installation: web, migrate, beat, or a worker (train, general, cloud, inference).
# For containers and systemd; `make run` has a launcher of its own.
set -eu
export DJANGO_SETTINGS_MODULE="${DJANGO_SETTINGS_MODULE:-finetune.settings}"
cd "$(dirname "$0")/.."
name=${1:-web}

# What is written is this user's only, as with `make run`; a folder that many write to stays as it is.
umask 077
if [ -O "${DATA_DIR:-}" ] && [ ! -k "$DATA_DIR" ]; then chmod go-rwx "$DATA_DIR"; fi

worker() { # queues pool concurrency
    exec python -m celery --quiet -A celery_worker worker -Q "$1" --pool "$2" --concurrency "$3" -n "$name@%h" --loglevel "${LOG_LEVEL:-INFO}"
}

case $name in
web)
    # Requests and tokens in addresses stay out of the logs: no access log, and sockets are logged at INFO.
    set -- --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" --workers "${WEB_WORKERS:-2}" --ws websockets-sansio \
        --timeout-graceful-shutdown 5 --timeout-keep-alive 75 --no-access-log --log-level warning
    [ -n "${FORWARDED_ALLOW_IPS:-}" ] || set -- "$@" --no-proxy-headers
    exec python -m uvicorn finetune.asgi:application "$@"
    ;;
migrate) exec python manage.py migrate --noinput ;;
beat) exec python -m celery --quiet -A celery_worker beat --pidfile= --loglevel "${LOG_LEVEL:-INFO}" ;;
train) worker train threads "${TRAINING_SLOTS:-$(python -c 'import django; django.setup(); from training.slots import slots; print(len(slots()))')}" ;;
general) worker default,celery prefork "${GENERAL_SLOTS:-2}" ;;
cloud) worker cloud threads "${CLOUD_SLOTS:-16}" ;;
inference) worker inference threads 4 ;;
*)
    echo "start.sh: there is no process “$name”" >&2
    exit 2
    ;;
esac
