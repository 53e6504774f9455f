"""Runs Davy's archiver: `generate_model_archive(config)` from Python, `generate_model_archive()` as a command."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

from .config import ModelArchiverConfig, ModelArchiverError


def generate_model_archive(config: Optional[ModelArchiverConfig] = None) -> None:
    """Writes the archive. Without `config` the process's arguments are the flags, and failure is its exit status."""
    if config is None:
        sys.exit(subprocess.run([*archiver_command(), *sys.argv[1:]], check=False).returncode)
    finished = subprocess.run(
        [*archiver_command(), *config.to_arguments()], check=False, capture_output=True, text=True
    )
    if finished.returncode != 0:
        raise ModelArchiverError(finished.stderr.strip() or f"archiver ended with status {finished.returncode}")


def archiver_command() -> List[str]:
    """The archiver of the Davy that this file belongs to, else the one on PATH."""
    own = Path(__file__).resolve().parents[2] / "bin" / "torch-model-archiver"
    node = shutil.which("node")
    if own.exists() and node is not None:
        return [node, str(own)]
    davy = shutil.which("davy")
    if davy is None:
        raise ModelArchiverError("Davy is not installed: neither node nor the davy command is on PATH.")
    return [davy, "archive"]


if __name__ == "__main__":
    generate_model_archive()
