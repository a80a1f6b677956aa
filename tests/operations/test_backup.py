"""Back up, lose everything, restore: the same rows and the same bytes. Damaged or unwelcome, nothing changes.

On SQLite, and on PostgreSQL where DATABASE_URL names one (python -m tests.servers tests/operations/test_backup.py).
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from finetune.core.errors import Conflict, DomainError, Invalid
from finetune.operations import archive
from finetune.operations.checks import workers
from finetune.operations.services.back_up import back_up
from finetune.operations.services.restore_backup import restore_backup
from finetune.operations.swap import swapped
from tests.operations.installation import FILL, Installation

PG = os.environ.get("DATABASE_URL", "").startswith("postgres")
Make = Callable[[str], Installation]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    made: list[str] = []

    def new(name: str) -> Installation:
        url = ""
        if PG:
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
                server.execute(f"CREATE DATABASE backup_{name}")
            made.append(f"backup_{name}")
            url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/backup_{name}"
        return Installation(tmp_path_factory.mktemp(name), url)

    yield new
    for name in made:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def full(make: Make) -> Installation:
    """Alice with a token, a dataset, a version and a running job."""
    installation = make("full")
    installation.python(FILL)
    return installation


@pytest.fixture(scope="module")
def saved(full: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("backups") / "one.tar.zst"
    said = full.manage("backup", str(target)).stdout
    assert "secrets.json" in said and target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == [target.name]  # nothing of the making is left
    return target


@pytest.fixture(scope="module")
def restored(saved: Path, make: Make) -> Installation:
    fresh = make("fresh")
    fresh.manage("restore", str(saved))
    return fresh


def test_everything_is_back(full, restored):
    before, after = full.look(), restored.look()
    leases = [row for row in after["rows"]["training.TrainingJob"] if "('lease_owner', '')" in row]
    assert len(leases) == 1  # nobody follows the job, so reconcile takes it up
    assert after["token"] == ["hf_kept_secret"]
    for name in set(before["rows"]) - {"training.TrainingJob"}:
        assert after["rows"][name] == before["rows"][name] != []
    assert (restored.data_dir / "secrets.json").read_text() == (full.data_dir / "secrets.json").read_text()
    assert (restored.data_dir / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_files_are_the_same_and_those_in_the_making_stay_out(full, restored):
    expected = {name: content for name, content in full.files().items() if "/.staging-" not in name}
    assert restored.files() == expected and len(expected) == 4
    rows, linked = (restored.data_dir / name for name in ("datasets/1/rows.parquet", "runs/1/1/data/train.parquet"))
    assert rows.stat().st_ino == linked.stat().st_ino  # stored once, and once again
    assert not [path for path in restored.data_dir.iterdir() if path.name.startswith((".restore", ".replaced"))]


def test_gzip_holds_the_same(full, saved, tmp_path):
    full.manage("backup", str(tmp_path / "one.tar.gz"))
    zst, gz = (archive.unpack(path, tmp_path / path.name[-3:]) for path in (saved, tmp_path / "one.tar.gz"))
    files = [{name: member for name, member in found["members"].items() if "database" not in name} for found in (zst, gz)]
    assert files[0] == files[1] and len(files[0]) == 5


def test_the_job_is_taken_up(restored):
    code = "from training.services.claim_job import orphans; print(list(orphans().values_list('pk', flat=True)))"
    assert restored.python(code).strip() == "[1]"


def test_what_is_not_empty_needs_a_word(saved, restored):
    before = restored.look(), restored.files()

    refused = restored.manage("restore", str(saved), check=False)
    assert refused.returncode and "--replace" in refused.stderr
    assert (restored.look(), restored.files()) == before

    (restored.data_dir / "models/2/adapter.safetensors").write_text("worse")
    restored.manage("restore", str(saved), "--replace")
    assert (restored.look(), restored.files()) == before


def damaged(saved: Path, folder: Path, harm: str) -> Path:
    content = bytearray(saved.read_bytes())
    if harm == "flipped":
        content[len(content) // 2] ^= 0xFF
    bad = folder / saved.name
    bad.write_bytes({"short": content[: len(content) * 2 // 3], "flipped": content, "nothing": b""}[harm])
    return bad


@pytest.mark.parametrize("harm", ["short", "flipped", "nothing"])
def test_damage_is_noticed(saved, tmp_path, harm):
    with pytest.raises(Invalid, match="Nothing was changed"):
        archive.unpack(damaged(saved, tmp_path, harm), tmp_path / "into")


def test_a_damaged_archive_changes_nothing(saved, restored, tmp_path):
    before = restored.files()

    refused = restored.manage("restore", str(damaged(saved, tmp_path, "short")), "--replace", check=False)

    assert refused.returncode and "Nothing was changed" in refused.stderr and "Traceback" not in refused.stderr
    assert restored.files() == before and restored.look()["token"] == ["hf_kept_secret"]


def test_a_restore_that_breaks_in_the_middle_puts_everything_back(saved, restored):
    before = restored.look(), restored.files()
    code = f"""
from pathlib import Path
import shutil
from finetune.operations import databases, swap
from finetune.operations.services.restore_backup import restore_backup
real, moves = shutil.move, []
def move(new, place):
    moves.append(place)
    if len(moves) == 3:
        raise OSError("no space left")
    return real(new, place)
shutil.move = move
try:
    restore_backup(source=Path({str(saved)!r}), replace=True)
except OSError as error:
    print("refused:", error)
"""
    assert "refused: no space left" in restored.python(code)
    assert (restored.look(), restored.files()) == before


@pytest.mark.skipif(not PG, reason="one transaction of PostgreSQL")
def test_a_database_that_refuses_the_copy_is_as_it_was(saved, restored):
    before = restored.look(), restored.files()
    code = f"""
from pathlib import Path
from finetune.core.errors import DomainError
from finetune.operations import databases
from finetune.operations.services.restore_backup import restore_backup
databases.FREE_LEASES = "UPDATE there_is_no_such_table SET x = 1"
try:
    restore_backup(source=Path({str(saved)!r}), replace=True)
except DomainError as error:
    print("refused:", error)
"""
    assert "refused: psql failed" in restored.python(code)
    assert (restored.look(), restored.files()) == before


def test_a_running_installation_is_refused(saved, restored):
    import fcntl

    lock = restored.data_dir / "run" / "launcher.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = restored.manage("restore", str(saved), "--replace", check=False)
    assert refused.returncode and "Stop it" in refused.stderr


def test_workers_that_answer_are_a_running_installation(monkeypatch, db, tmp_path, settings):
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(workers, "served", lambda: {"train": ["train@b"], "default": ["general@a"]})
    with pytest.raises(Conflict, match="general@a, train@b"):
        restore_backup(source=tmp_path / "x.tar.gz", replace=True)


# --- The archive itself, in this process --------------------------------------------------------


def packed(path: Path, members: dict[str, bytes], *, manifest: dict | None) -> Path:
    with gzip.open(path, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items() | ({("manifest.json", json.dumps(manifest).encode())} if manifest else set()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["../out", "/etc/out", "files/../../out"])
def test_no_member_climbs_out(tmp_path, name):
    bad = packed(tmp_path / "x.tar.gz", {name: b"x"}, manifest={"format": 1, "members": {}})
    with pytest.raises(Invalid, match="no path of a backup"):
        archive.unpack(bad, tmp_path / "into")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("members", [{"files/a": {"bytes": 1, "sha256": "0"}}, {}, {"files/a": {"bytes": 1}, "files/b": {}}])
def test_members_and_manifest_must_agree(tmp_path, members):
    bad = packed(tmp_path / "x.tar.gz", {"files/a": b"x"}, manifest={"format": 1, "members": members})
    with pytest.raises(Invalid, match="damaged"):
        archive.unpack(bad, tmp_path / "into")


def test_without_its_manifest_it_is_no_backup(tmp_path):
    with pytest.raises(Invalid, match="no manifest"):
        archive.unpack(packed(tmp_path / "x.tar.gz", {"files/a": b"x"}, manifest=None), tmp_path / "into")


def test_a_backup_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), archive.writing(tmp_path / "x.tar.gz"):
        raise RuntimeError("disk full")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["there.zip", "nowhere/x.tar.gz"])
def test_strange_targets_are_refused(tmp_path, target, db):
    with pytest.raises(Invalid):
        back_up(target=tmp_path / target)


def test_a_backup_never_replaces_another(tmp_path, db):
    (tmp_path / "x.tar.gz").write_text("older")
    with pytest.raises(Conflict, match="never replaces"):
        back_up(target=tmp_path / "x.tar.gz")


def test_files_take_places_all_or_none(tmp_path):
    for name in ("new", "old", "gone"):
        (tmp_path / name).write_text(name)
    places = [(tmp_path / "new", tmp_path / "old"), (None, tmp_path / "gone")]
    with pytest.raises(DomainError), swapped(places):
        assert (tmp_path / "old").read_text() == "new" and not (tmp_path / "gone").exists()
        raise Conflict("no")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "old", "gone": "gone"}
