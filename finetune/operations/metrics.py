"""What /metrics says, in Prometheus' text format. Every figure is for the whole installation; no name of a person or a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.utils import timezone
from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from datasets_app.models import Dataset
from models_app.models import LanguageModel
from training.device_reports import worker_devices
from training.models import JobEvent, TrainingJob

JOBS = TrainingJob.Status
FOLLOWED = (JOBS.RUNNING, JOBS.CANCELLING)
PREPARED = (Dataset.Status.UPLOADED, Dataset.Status.VALIDATING)

# What this web process counts itself; the rest is asked of the database and the machine at each scrape.
PROCESS = CollectorRegistry()
ProcessCollector(registry=PROCESS)
REQUESTS = Counter(
    "aift_http_requests",
    "Requests this web process has answered, by method and class of status.",
    ["method", "status"],
    registry=PROCESS,
)


def exposition() -> bytes:
    """Everything, as text. Five queries, however many rows there are."""
    registry = CollectorRegistry()
    registry.register(_Installation())  # type: ignore[arg-type]
    return generate_latest(PROCESS) + generate_latest(registry)


class _Installation:
    """A collector that asks when it is scraped."""

    def describe(self) -> list[Metric]:
        return []  # registering must not ask the database

    def collect(self) -> Iterator[Metric]:
        yield from _jobs()
        yield from _prepared()
        yield from _devices()


def _jobs() -> Iterator[Metric]:
    now = timezone.now()
    rows = TrainingJob.objects.order_by().values_list("status").annotate(number=Count("pk"))
    numbers: dict[str, int] = dict(rows)
    by_status = GaugeMetricFamily("aift_jobs", "Training jobs by status.", labels=["status"])
    for status in JOBS.values:
        by_status.add_metric([status], numbers.get(status, 0))
    yield by_status
    yield GaugeMetricFamily("aift_queue_length", "Jobs that wait for a worker.", numbers.get(JOBS.QUEUED, 0))
    times = TrainingJob.objects.aggregate(
        waits=Min("queued_at", filter=Q(status=JOBS.QUEUED)), lease=Min("lease_expires_at", filter=Q(status__in=FOLLOWED))
    )
    yield GaugeMetricFamily(
        "aift_queue_oldest_wait_seconds", "How long the job at the head of the queue has waited.", _age(now, times["waits"])
    )
    yield GaugeMetricFamily(
        "aift_lease_overdue_seconds",
        "How long the oldest lease of a running job has been expired; more than a few minutes means that nobody follows it.",
        _age(now, times["lease"]),
    )
    recorded = JobEvent.objects.aggregate(newest=Max("pk"))["newest"]
    yield CounterMetricFamily("aift_events_recorded", "Events recorded so far (numbered by the database).", recorded or 0)


def _age(now: Any, moment: Any) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0


def _prepared() -> Iterator[Metric]:
    """One query over both tables would be a UNION of two counts; two small ones read better."""
    datasets = Dataset.objects.filter(status__in=PREPARED).count()
    yield GaugeMetricFamily("aift_datasets_being_read", "Datasets that wait for a reader or are being read.", datasets)
    models = LanguageModel.objects.filter(status=LanguageModel.Status.DOWNLOADING).count()
    yield GaugeMetricFamily("aift_models_being_prepared", "Models that are downloaded or made.", models)


def _devices() -> Iterator[Metric]:
    """Of every machine with a training worker."""
    labels = ["device", "kind", "host"]
    total = GaugeMetricFamily("aift_device_memory_bytes", "Memory of the device.", labels=labels)
    used = GaugeMetricFamily("aift_device_memory_used_bytes", "Memory in use.", labels=labels)
    busy = GaugeMetricFamily("aift_device_utilisation_ratio", "Share of the time the device was busy lately.", labels=labels)
    for device in worker_devices():
        names = [device.id, device.kind, device.host]
        for family, value in ((total, device.memory_bytes), (used, device.memory_used_bytes), (busy, device.utilisation)):
            if value is not None:
                family.add_metric(names, value)
    yield from (total, used, busy)
