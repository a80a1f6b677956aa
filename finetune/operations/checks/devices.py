"""What jobs can train on: the devices that training workers report, this machine's own while none does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from django.conf import settings

from finetune.core.templatetags.ui import size
from finetune.operations.findings import OK, WARN, Finding
from training.device_reports import worker_devices

NAME = "devices"


def examine() -> Iterator[Finding]:
    devices = worker_devices()
    gpus = [device for device in devices if device.kind != "cpu"]
    for device in devices:
        yield Finding(NAME, OK, f"{device.id}: {device.name}, {size(device.memory_bytes)} on {device.host}.")
    if not gpus and shutil.which("nvidia-smi"):
        yield Finding(
            NAME, WARN, "nvidia-smi is installed and shows no GPU.", "Run nvidia-smi: it says what is wrong with the driver."
        )
    elif not gpus and not settings.TRAINING_GPUS:
        yield Finding(NAME, OK, "No training worker has a GPU: jobs train on the processor.")
