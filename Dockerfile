# syntax=docker/dockerfile:1
# Two images from one file: `web` (pages, API, beat; without torch) and `worker` (everything that computes; with it).
#   docker build --target web -t aifinetune-web .      docker build --target worker -t aifinetune-worker .
# TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu makes a worker without CUDA. The steps themselves are in deploy/steps.sh,
# so that they can be run and tested without Docker.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN groupadd --gid 10001 aift && useradd --uid 10001 --gid aift --home-dir /data --no-create-home --shell /usr/sbin/nologin aift \
    && install -d -m 0700 -o aift -g aift /data
WORKDIR /srv/aifinetune

FROM base AS web-packages
COPY deploy/steps.sh requirements.txt ./
RUN sh steps.sh web-packages /opt/venv .

FROM web-packages AS worker-packages
ARG TORCH_INDEX_URL=
COPY training/engine/requirements.txt training/engine/requirements.txt
RUN sh steps.sh worker-packages /opt/venv .

# Compiled pages' files with hashed names, so that browsers may keep them for ever.
FROM web-packages AS static
COPY . .
RUN sh deploy/steps.sh static /opt/venv . /srv/static

FROM base AS web
ENV PATH=/opt/venv/bin:$PATH DATA_DIR=/data STATIC_ROOT=/srv/static HOME=/data HOST=0.0.0.0
COPY --from=web-packages /opt/venv /opt/venv
COPY --from=static /srv/static /srv/static
COPY . .
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["sh", "deploy/health.sh", "web"]
CMD ["sh", "deploy/start.sh", "web"]

FROM base AS worker
ENV PATH=/opt/venv/bin:$PATH DATA_DIR=/data STATIC_ROOT=/srv/static HOME=/data
# libgomp1: torch's threads on CPUs.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=worker-packages /opt/venv /opt/venv
COPY --from=static /srv/static /srv/static
COPY . .
USER 10001:10001
VOLUME /data
HEALTHCHECK --interval=60s --timeout=30s --start-period=90s CMD ["sh", "deploy/health.sh", "worker"]
CMD ["sh", "deploy/start.sh", "train"]
