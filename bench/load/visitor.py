"""People who look around: each takes a page, does what its scripts do, reads it for a while, goes on. A process of its own.

    python -m bench.load.visitor URL FILE SECONDS

FILE holds a line for each person: {"cookie", "jobs", "datasets", "models"}, ids of theirs. What came of every request is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.common.report import ROOT

# Between two pages: exponential, as web benchmarks have it (TPC-W), with its mean; nobody reads for longer than LONGEST.
THINK, LONGEST = 7.0, 70.0
STATIC = re.compile(r'"(/static/[^"]+\.(?:css|js))"')
ROWS = "".join(
    json.dumps({"messages": [{"role": "user", "content": f"Question {n}"}, {"role": "assistant", "content": f"Answer {n}."}]})
    + "\n"
    for n in range(200)
)


@dataclass
class Ledger:
    """What every request took, in milliseconds from asking to the last byte, by route; and what went wrong."""

    pages: dict[str, list[float]] = field(default_factory=dict)
    others: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


class Person:
    """One browser: its cookies, its cache of scripts and styles, and what is its owner's."""

    def __init__(self, url: str, own: dict[str, Any], ledger: Ledger, seed: int):
        self.own, self.ledger, self.chance = own, ledger, random.Random(seed)
        self.http = httpx.AsyncClient(base_url=url, cookies={"sessionid": own["cookie"]}, timeout=60, trust_env=False)
        self.cached: set[str] = set()

    async def browse(self, until: float) -> None:
        """Come some time in the first seconds, then page after page."""
        await asyncio.sleep(self.chance.uniform(0, THINK))
        weights = [weight for weight, _ in VISITS]
        async with self.http:
            while time.monotonic() < until:
                _, visit = self.chance.choices(VISITS, weights)[0]
                await visit(self)
                await asyncio.sleep(min(LONGEST, self.chance.expovariate(1 / THINK)))

    async def page(self, route: str, path: str) -> str:
        """A page, and on its first visit the scripts and styles it names."""
        text = (await self.ask(route, "GET", path, self.ledger.pages)).text
        for name in set(STATIC.findall(text)) - self.cached:
            self.cached.add(name)
            await self.ask("static files", "GET", name, self.ledger.others)
        return text

    async def ask(self, route: str, method: str, path: str, book: dict[str, list[float]], **options: Any) -> httpx.Response:
        begun = time.perf_counter()
        try:
            answer = await self.http.request(method, path, **options)
        except httpx.HTTPError as error:
            self.ledger.errors.append(f"{route}: {error!r}")
            return httpx.Response(599, text="")
        book.setdefault(route, []).append(1000 * (time.perf_counter() - begun))
        if answer.status_code >= 400 or "/sign-in" in answer.headers.get("location", ""):
            self.ledger.errors.append(f"{route}: {answer.status_code} of {path}")
        return answer

    async def extra(self, route: str, path: str, **options: Any) -> httpx.Response:
        """What a page's scripts ask for."""
        return await self.ask(route, options.pop("method", "GET"), path, self.ledger.others, **options)

    def one(self, kind: str) -> int:
        return int(self.chance.choice(self.own[kind]))


async def dataset(person: Person) -> None:
    pk = person.one("datasets")
    await person.page("dataset", f"/datasets/{pk}")
    if person.chance.random() < 0.3:
        await person.page("dataset's other tabs", f"/datasets/{pk}/{person.chance.choice(['problems', 'statistics', 'versions'])}")


async def upload(person: Person) -> None:
    """The form, a file, its outcome until it has been read, the dataset."""
    shown = await person.page("upload", "/datasets/upload")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', shown)
    body = ROWS + json.dumps(
        {"messages": [{"role": "user", "content": str(person.chance.random())}, {"role": "assistant", "content": "."}]}
    )
    files = {"file": (f"rows-{person.chance.randrange(10**9)}.jsonl", body.encode())}
    data = {"csrfmiddlewaretoken": token[1] if token else "", "name": "", "description": ""}
    answer = await person.extra(
        "upload a file", "/datasets/upload", method="POST", data=data, files=files, headers={"HX-Request": "true"}
    )
    found = re.search(r'data-dataset="(/datasets/(\d+))"', answer.text)
    if not found:
        person.ledger.errors.append(f"upload a file: no dataset in the answer ({answer.status_code})")
        return
    for _ in range(60):
        await asyncio.sleep(1)
        row = await person.extra("an upload's outcome", f"{found[1]}/outcome", headers={"HX-Request": "true"})
        if "hx-trigger" not in row.text:
            break
    else:
        person.ledger.errors.append("an upload's outcome: not read after a minute")
    await person.page("dataset", found[1])


async def job(person: Person) -> None:
    """The page, its curve, its log."""
    pk = person.one("jobs")
    await person.page("job", f"/training/{pk}")
    await person.extra("a job's curve", f"/api/training/{pk}/metrics?after=0&max_points=2000")
    await person.extra("a job's log", f"/api/training/{pk}/events?kind=log,warning,error,status,phase,checkpoint&after=0")


async def compare(person: Person) -> None:
    if len(person.own["jobs"]) > 1:
        one, other = person.chance.sample(person.own["jobs"], 2)
        await person.page("compare", f"/training/compare?ids={one},{other}")


# How often each, of a hundred: a page by its route and address, where a name is one of the person's own or chosen by chance; or more to do.
PAGES: list[tuple[int, str, str]] = [
    (12, "home", "/"),
    (10, "datasets", "/datasets/"),
    (4, "datasets, searched", "/datasets/?search={word}"),
    (3, "datasets, further pages", "/datasets/?ordering=name&page={page}"),
    (12, "jobs", "/training/"),
    (4, "jobs, filtered", "/training/?status={status}"),
    (4, "jobs, searched", "/training/?search={word}"),
    (3, "jobs, further pages", "/training/?page={page}"),
    (3, "new training", "/training/new?dataset={dataset}"),
    (5, "models", "/models/"),
    (4, "model", "/models/{model}"),
    (1, "queue", "/training/queue"),
    (1, "analytics", "/analytics"),
    (1, "settings", "/settings"),
    (1, "help", "/help{help}"),
]
MORE: list[tuple[int, Callable[[Person], Awaitable[Any]]]] = [(12, dataset), (5, upload), (14, job), (1, compare)]
CHOICES: dict[str, Sequence[Any]] = {
    "word": ("support", "code", "medical", "run 12", "small"), "page": range(2, 9), "status": ("failed", "succeeded", "draft"),
    "help": ("", "/methods", "/data-formats"),
}  # fmt: skip


def plain(route: str, path: str) -> Callable[[Person], Awaitable[Any]]:
    """Take that page and nothing else."""

    async def take(person: Person) -> None:
        among = CHOICES | {"dataset": person.own["datasets"], "model": person.own["models"]}
        chosen = {name: person.chance.choice(choices) for name, choices in among.items() if choices}
        await person.page(route, path.format(**chosen))

    return take


VISITS = [*((weight, plain(route, path)) for weight, route, path in PAGES), *MORE]


async def visit(url: str, people: list[dict[str, Any]], seconds: float) -> Ledger:
    ledger, until = Ledger(), time.monotonic() + seconds
    await asyncio.gather(*(Person(url, own, ledger, seed).browse(until) for seed, own in enumerate(people)))
    return ledger


def let_browse(url: str, people: Path, seconds: float) -> dict[str, Any]:
    """The people of the file in a process of their own for so long; what they noted: {pages, others, errors} as in the ledger."""
    command = [sys.executable, "-m", "bench.load.visitor", url, str(people), str(seconds)]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(run.stdout.rpartition("RESULT ")[2])
    return told


def main() -> None:
    url, file, seconds = sys.argv[1:]
    people = [json.loads(line) for line in Path(file).read_text().splitlines()]
    ledger = asyncio.run(visit(url, people, float(seconds)))
    print("RESULT " + json.dumps({"pages": ledger.pages, "others": ledger.others, "errors": ledger.errors}))


if __name__ == "__main__":
    main()
