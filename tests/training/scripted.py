"""An executor whose engines follow a script: real processes, real run directories, no training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from training.engine.rundir import RunDir
from training.executors.local import SUBMITTED, Local

ENGINE = Path(__file__).with_name("scripted_engine.py")


class Scripted(Local):
    """Local, but for the program it starts. `script` is for every attempt, `scripts[n]` for attempt n."""

    script: dict = {"total": 5}
    scripts: dict[int, dict] = {}
    processes: list[subprocess.Popen] = []

    def submit(self, run_dir: Path) -> None:
        (run_dir / SUBMITTED).touch()
        script = self.scripts.get(int(run_dir.name), self.script)
        (run_dir / "script.json").write_text(json.dumps(script))
        command = [sys.executable, str(ENGINE), str(run_dir)]
        environment = {"PYTHONPATH": str(settings.BASE_DIR), "PATH": "/usr/bin:/bin"}
        self.processes.append(subprocess.Popen(command, env=environment, start_new_session=True))

    def is_alive(self, run_dir: Path) -> bool:
        for process in self.processes:  # they are our children: reap them, or they stay zombies
            process.poll()
        return super().is_alive(run_dir)

    def exit_cause(self, run_dir: Path) -> dict[str, int]:
        for process in self.processes:
            if process.args[-1] == str(run_dir) and process.poll() is not None:
                memory = {"out_of_memory": True} if self.script.get("killed") else {}
                code = process.returncode
                return {"signal": -code, **memory} if code < 0 else {"code": code}
        return {}


def events_of(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in RunDir(run_dir).events_file.read_text().splitlines()]
