"""What the launcher must know of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Facts:
    """Printed as JSON by prepare.py, so that only one place reads the environment. No Valkey is started without valkey_socket."""

    data_dir: str
    host: str
    port: int
    valkey_socket: str | None
    train_slots: int = 1

    @property
    def run_dir(self) -> Path:
        return Path(self.data_dir) / "run"

    @property
    def log_dir(self) -> Path:
        return Path(self.data_dir) / "logs"

    @property
    def supervisor_file(self) -> Path:
        return self.run_dir / "supervisord.conf"

    @property
    def processes_file(self) -> Path:
        """Identities of the processes that were started, for the case that launcher and supervisord are killed."""
        return self.run_dir / "processes.json"

    @property
    def notes_dir(self) -> Path:
        """A file for each program with its identity, written by itself before it begins (begin.py)."""
        return self.run_dir / "programs"

    @property
    def local_host(self) -> str:
        """Where this machine reaches the web process."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)

    @property
    def local_url(self) -> str:
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return f"http://{host}:{self.port}"
