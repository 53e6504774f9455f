"""What can be asked of the archiver: the flags of `torch-model-archiver` as a dataclass."""

import argparse
from dataclasses import dataclass, fields
from typing import List, Optional


class ModelArchiverError(Exception):
    """The archive was not written; the message says why."""


@dataclass
class ModelArchiverConfig:
    """One archive. Paths are relative to the working directory; `export_path` None means there."""

    model_name: str
    handler: str
    version: str = "1.0"
    serialized_file: Optional[str] = None
    model_file: Optional[str] = None
    extra_files: Optional[str] = None
    runtime: str = "python"
    export_path: Optional[str] = None
    archive_format: str = "default"
    force: bool = False
    requirements_file: Optional[str] = None
    config_file: Optional[str] = None

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> "ModelArchiverConfig":
        """Takes the attributes of parsed command line arguments that are fields here."""
        given = {field.name: getattr(args, field.name) for field in fields(cls) if hasattr(args, field.name)}
        return cls(**given)

    def to_arguments(self) -> List[str]:
        """The command line that means this configuration. Values are joined with `=`, so none is taken for a flag."""
        arguments = []
        for field in fields(self):
            value = getattr(self, field.name)
            value = getattr(value, "value", value)  # callers may pass members of an enum
            flag = "--" + field.name.replace("_", "-")
            if value is True:
                arguments.append(flag)
            elif value not in (None, False, ""):
                arguments.append(f"{flag}={value}")
        return arguments
