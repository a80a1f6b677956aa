"""An installation that many people have used for years, made in bulk: people, datasets, models, jobs, and every point of their curves.

The rows are what the product writes; a job's log and its packed points are those of a model job, copied inside the database.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.load.scratch import metric, signed_in

PEOPLE, HEAVY = 200, 10  # half of everything belongs to the ten who use it most
SHORT, LONG, LONGS = 500, 20_500, 100  # points of a job, of a long one, and how many are long
FEW = 20  # jobs that wait in the queue
NOW = datetime.now(UTC)
PASSWORD = "a-long-enough-passphrase"


def fill(datasets: int, jobs: int) -> list[Any]:
    """Make so many of each; the people, the heaviest users first. Some 500 points a job: half a million points for 1,000 jobs."""
    people, noise = _people(), random.Random(7)
    bases = _bases(people)
    made = _jobs(people, _datasets(people, datasets, noise), bases, jobs, noise)
    _versions(made, bases)
    _logs(made, noise)
    _count_outcomes(people)
    _analyze()
    return people


def points() -> int:
    """How many there are of all curves."""
    from django.db.models import Sum

    from training.models import MetricChunk

    return int(MetricChunk.objects.aggregate(points=Sum("count"))["points"] or 0)


def possessions(person: Any) -> dict[str, Any]:
    """A browser session of theirs and some ids: what a visitor needs."""
    owned = {"jobs": person.jobs, "datasets": person.datasets, "models": person.language_models}
    return {"cookie": signed_in(person), **{name: list(rows.values_list("pk", flat=True)[:100]) for name, rows in owned.items()}}


def _people() -> list[Any]:
    from django.contrib.auth.hashers import make_password

    from accounts.models import User

    password = make_password(PASSWORD)
    made = [
        User(username=f"person{number}", email=f"person{number}@example.org", password=password, is_staff=number == 0)
        for number in range(PEOPLE)
    ]
    return User.objects.bulk_create(made)


def _owner(people: list[Any], number: int) -> Any:
    """Half of the rows go round the heavy users, half round everybody."""
    return people[number // 2 % HEAVY] if number % 2 else people[number // 2 % len(people)]


def _datasets(people: list[Any], count: int, noise: random.Random) -> list[Any]:
    """Rows of datasets; on disk they are names of one real file."""
    from datasets_app.models import Dataset
    from tests.factories import make_dataset

    first = make_dataset(people[0], rows=200)
    made = [
        Dataset(
            owner=_owner(people, number), name=f"{noise.choice(TOPICS)} {number}", status="ready", format="openai", kind="sft",
            source_name=f"export-{number}.jsonl", rows=200, bytes=noise.randrange(10**4, 10**7), splits={"train": 200},
            report={"valid_rows": 200, "counts": {}, "problems": []}, content_hash=f"{number:064x}",
        ) for number in range(count)
    ]  # fmt: skip
    made = Dataset.objects.bulk_create(made, batch_size=2000)
    _spread_over_years(Dataset, "created_at", count)
    for dataset in made:
        dataset.directory.mkdir(parents=True)
        os.link(first.rows_file, dataset.rows_file)
    return made


TOPICS = ("Support answers", "Product questions", "Legal summaries", "Code reviews", "Medical notes", "Translations", "Small talk")


def _bases(people: list[Any]) -> dict[int, Any]:
    """A base model for everybody, by its owner."""
    from models_app.models import LanguageModel

    made = [
        LanguageModel(
            owner=owner, name="tiny-base", kind="base", source="sample", status="ready", family="tiny-base", parameters=10**6
        )
        for owner in people
    ]
    return {model.owner_id: model for model in LanguageModel.objects.bulk_create(made)}


def _jobs(people: list[Any], datasets: list[Any], bases: dict[int, Any], count: int, noise: random.Random) -> list[Any]:
    from training.engine.spec import defaults_for
    from training.models import TrainingJob

    own: dict[int, list[Any]] = {}
    for dataset in datasets:
        own.setdefault(dataset.owner_id, []).append(dataset)
    config, jobs = defaults_for("lora"), []
    for number in range(count):
        owner, status = _owner(people, number), _status(number, count)
        jobs.append(
            TrainingJob(
                owner=owner, name=f"{noise.choice(TOPICS)} run {number}", method="lora", status=status, model=bases[owner.pk],
                dataset=noise.choice(own[owner.pk]), config=config, **_outcome(status, number, count, noise),
            )
        )  # fmt: skip
    jobs = TrainingJob.objects.bulk_create(jobs, batch_size=2000)
    _spread_over_years(TrainingJob, "created_at", count)
    return jobs


def _status(number: int, count: int) -> str:
    """Of a hundred jobs ninety-four succeed; the newest few wait."""
    if number >= count - FEW:
        return "queued"
    return {0: "failed", 1: "failed", 2: "failed", 3: "cancelled", 4: "draft", 5: "draft"}.get(number % 97, "succeeded")


def _outcome(status: str, number: int, count: int, noise: random.Random) -> dict[str, Any]:
    """What the columns of such a job hold."""
    begun = NOW - timedelta(minutes=10 * (count - number))
    if status in ("draft", "queued"):
        return {"queued_at": begun} if status == "queued" else {}
    ended = {"attempt": 1, "queued_at": begun, "started_at": begun, "finished_at": begun + timedelta(minutes=9)}
    loss = 1 + noise.random()
    values: dict[str, Any] = {
        "progress": {"step": SHORT, "total_steps": SHORT, "fraction": 1.0, "elapsed_seconds": 500.0},
        "metrics": {"loss": loss, "eval_loss": loss + 0.1, "num_tokens": 512.0 * SHORT},
        "memory": {"device": "cpu", "peak_bytes": 900 * 2**20},
    }
    if status == "failed":
        values["error"] = {"code": "out_of_memory", "message": "The device ran out of memory.", "hint": "", "log_tail": ""}
    return {**ended, **values}


def _spread_over_years(model: Any, column: str, count: int) -> None:
    """Rows made ten minutes after each other, as if by hand; bulk_create dates all of them now."""
    from django.db import connection

    table, oldest = model._meta.db_table, NOW - timedelta(minutes=10 * count)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"UPDATE {table} SET {column} = %s + id * interval '10 minutes'", [oldest])
        else:
            cursor.execute(f"UPDATE {table} SET {column} = datetime(%s, (id * 10) || ' minutes')", [oldest])


def _versions(jobs: list[Any], bases: dict[int, Any]) -> None:
    """Every fifth job's result was kept: the next version of one of its owner's families."""
    from models_app.models import LanguageModel
    from training.models import TrainingJob

    kept, counts, made = [job for job in jobs[::5] if job.status == "succeeded"], {}, []
    for job in kept:
        family = f"assistant-{job.pk // 5 % 20}"
        counts[job.owner_id, family] = version = counts.get((job.owner_id, family), 0) + 1
        made.append(
            LanguageModel(
                owner_id=job.owner_id, name=family, family=family, version=version, kind="fine_tuned", source="training", status="ready",
                adapter=True, base_model=bases[job.owner_id], method="lora", metrics=job.metrics, origin=f"job-{job.pk}",
            )
        )  # fmt: skip
    for job, model in zip(kept, LanguageModel.objects.bulk_create(made, batch_size=2000), strict=True):
        job.output_model = model
    newest = {(model.owner_id, model.family): model.pk for model in made}
    LanguageModel.objects.filter(kind="fine_tuned").exclude(pk__in=newest.values()).update(is_latest=False)
    TrainingJob.objects.bulk_update(kept, ["output_model"], batch_size=2000)


# --- Logs and curves ---------------------------------------------------------------------------------


def _logs(jobs: list[Any], noise: random.Random) -> None:
    """One short and one long log, and copies of them for everybody who ran."""
    ran = [job for job in jobs if job.attempt]
    short, long = ran[LONGS], ran[0]
    _log(short, SHORT, noise)
    _log(long, LONG, noise)
    _copy(short, ran[LONGS].pk + 1, ran[-1].pk)
    _copy(long, ran[0].pk + 1, ran[LONGS - 1].pk)


def _log(job: Any, points: int, noise: random.Random) -> None:
    """The events of a run to its end, packed as when it ends."""
    from training.models import JobEvent, TrainingJob
    from training.services.pack_metrics import CHUNK, pack_metrics

    told = [*BEFORE, *(("metric", metric(step, noise)) for step in range(1, points + 1)), *AFTER]
    rows = [
        JobEvent(job=job, seq=seq, attempt=1, kind=kind, time=NOW + timedelta(seconds=seq / 20), payload=payload)
        for seq, (kind, payload) in enumerate(told, 1)
    ]
    for begin in range(0, len(rows), CHUNK):
        JobEvent.objects.bulk_create(rows[begin : begin + CHUNK], batch_size=500)
    pack_metrics(job=job, to_the_end=True)
    TrainingJob.objects.filter(pk=job.pk).update(last_seq=len(rows))


BEFORE: list[tuple[str, dict[str, Any]]] = [
    ("status", {"status": "queued"}),
    ("status", {"status": "running"}),
    ("phase", {"phase": "preparing"}),
    ("log", {"level": "info", "text": "Way of computing: no padding, attention inside each sequence."}),
    ("log", {"level": "info", "text": "200 rows, 41,233 tokens."}),
    ("phase", {"phase": "training"}),
]
AFTER: list[tuple[str, dict[str, Any]]] = [
    ("checkpoint", {"step": 250, "bytes": 10**6, "values": {"eval_loss": 2.1}}),
    ("checkpoint", {"step": 500, "bytes": 10**6, "values": {"eval_loss": 2.0}}),
    ("phase", {"phase": "saving"}),
    ("log", {"level": "info", "text": "The result is written."}),
    ("status", {"status": "succeeded"}),
]


def _copy(like: Any, first: int, last: int) -> None:
    """Every job with an id between these that ran gets this one's log, inside the database."""
    from django.db import connection

    from training.models import JobEvent, MetricChunk, TrainingJob

    jobs = TrainingJob._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")  # no look at the foreign key of each of a million rows
        for model in (JobEvent, MetricChunk):
            table = model._meta.db_table
            names = ", ".join(field.column for field in model._meta.local_fields if field.column not in ("id", "job_id"))
            cursor.execute(
                f"INSERT INTO {table} (job_id, {names}) SELECT j.id, {', '.join('e.' + name for name in names.split(', '))} "
                f"FROM {jobs} j CROSS JOIN {table} e WHERE e.job_id = %s AND j.attempt = 1 AND j.id BETWEEN %s AND %s",
                [like.pk, first, last],
            )
        like.refresh_from_db(fields=["last_seq"])
        cursor.execute(
            f"UPDATE {jobs} SET last_seq = %s WHERE attempt = 1 AND id BETWEEN %s AND %s",
            [like.last_seq, first, last],
        )
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = DEFAULT")


def _count_outcomes(people: list[Any]) -> None:
    """What the analytics have noted of each ended job, since they are looked at now and then."""
    from finetune.dashboard.outcomes import gather_outcomes

    for person in people:
        gather_outcomes(person)


def _analyze() -> None:
    """As the database does by itself, some time after so many rows."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
