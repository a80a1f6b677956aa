"""A program that behaves like the engine as its script says: `python scripted_engine.py RUN_DIR`, script in RUN_DIR/script.json.

{"total": steps, "seconds": for each step, "save_every": steps, "kill_at": step, "fail_at": step, "exit_at": step, "torn_at": step,
 "loss": numerator of the loss, "sha256": of the weights, "eval_every": steps,
 "oom_at": a step that needs more memory than there is unless the batch size "fits"; "killed": by the kernel, not by an exception}
It checkpoints, resumes, honours the cancel file, and writes an adapter that the platform can read.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

from training.engine import checkpoints
from training.engine.events import EventLog
from training.engine.process import identity
from training.engine.rundir import RunDir, write_atomic


def main(path: Path) -> int:
    run = RunDir(path)
    script = json.loads((path / "script.json").read_text())
    write_atomic(run.process_file, json.dumps(identity(os.getpid())))
    events = EventLog(run.events_file)
    events.emit("phase", phase="preparing")
    spec = run.read_spec()
    begin = 0
    own, _ = checkpoints.newest(run.checkpoints)
    if own:
        begin = own.step
    elif spec.resume_from:
        newest, _ = checkpoints.newest(Path(spec.resume_from))
        begin = newest.step if newest else 0
    events.emit("started", resumed_from_step=begin, total_steps=script["total"], device="scripted", train_rows=7, eval_rows=1)
    events.emit("phase", phase="training")
    return train(run, events, script, begin)


def train(run: RunDir, events: EventLog, script: dict, begin: int) -> int:
    for step in range(begin + 1, script["total"] + 1):
        if step == script.get("fail_at"):
            events.emit("failed", code="nan_loss", message=f"The loss is not a number at step {step}.", hint="Lower learning_rate.")
            return 1
        if step == script.get("oom_at") and run.read_spec().config.per_device_train_batch_size > script["fits"]:
            if script.get("killed"):
                os.kill(os.getpid(), signal.SIGKILL)
            events.emit(
                "failed", code="out_of_memory", message="The run needs more memory than the GPU has.", hint="Smaller batches."
            )
            return 1
        if step == script.get("exit_at"):
            return 7
        time.sleep(script.get("seconds", 0))
        values = {"loss": script.get("loss", 1) / step, "learning_rate": 1e-4, "tokens_per_second": 100.0}
        events.emit("metric", step=step, epoch=step / 10, split="train", values=values, elapsed_seconds=step * 0.5)
        if step % script.get("eval_every", 1000) == 0:
            events.emit("metric", step=step, epoch=step / 10, split="eval", values={"eval_loss": 1 / step}, elapsed_seconds=None)
        if step % script.get("save_every", 1000) == 0:
            save(run, events, step)
        if step == script.get("torn_at"):
            with open(run.events_file, "a") as file:
                file.write('{"kind": "metr\n')
        if step == script.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        if run.cancel_requested():
            save(run, events, step)
            events.emit("finished", outcome="cancelled", step=step)
            return 3
    events.emit("metric", step=script["total"], epoch=1.0, split="eval", values={"eval_loss": 0.25}, elapsed_seconds=None)
    write_adapter(run.output)
    digest = script.get("sha256", "5" * 64)
    events.emit("finished", outcome="succeeded", step=script["total"], output="output", sha256=digest)
    return 0


def save(run: RunDir, events: EventLog, step: int) -> None:
    staged = checkpoints.stage(run.checkpoints, step)
    (staged / "weights").write_text(str(step))
    whole = checkpoints.commit(staged, run.checkpoints, step)
    events.emit("checkpoint", step=step, path=f"checkpoints/{whole.path.name}", bytes=whole.bytes, values={"loss": 1 / step})


def write_adapter(directory: Path) -> None:
    """The smallest adapter whose safetensors header can be read."""
    directory.mkdir(exist_ok=True)
    header = json.dumps({"lora_A": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    (directory / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    (directory / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
