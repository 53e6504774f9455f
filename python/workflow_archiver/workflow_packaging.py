"""Collects the files of a workflow and writes the `.war`."""

import argparse
import glob
import json
import os
import re
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Dict, List, Optional

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]*")
ARCHIVER_VERSION = "0.2.15"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the first moment that ZIP can express


class WorkflowArchiverError(Exception):
    """The archive was not written; the message says why."""


def generate_workflow_archive(arguments: Optional[List[str]] = None) -> None:
    """The `torch-workflow-archiver` command."""
    args = _parser().parse_args(arguments)
    try:
        write_workflow_archive(**vars(args))
    except WorkflowArchiverError as error:
        sys.exit(str(error))


def write_workflow_archive(
    workflow_name: str,
    spec_file: str,
    handler: Optional[str] = None,
    extra_files: Optional[str] = None,
    export_path: Optional[str] = None,
    force: bool = False,
) -> str:
    """Gives back the path of the `.war`. Raises WorkflowArchiverError."""
    if NAME.fullmatch(workflow_name) is None:
        raise WorkflowArchiverError(
            "workflow-name contains special characters. "
            f"The allowed regular expression filter for workflow name is: ^{NAME.pattern}$"
        )
    folder = Path(export_path or ".").resolve()
    target = folder / f"{workflow_name}.war"
    if target.exists() and not force:
        raise WorkflowArchiverError(
            f"{target} already exists.\n"
            "Please specify --force/-f option to overwrite the workflow archive output file.\n"
            "See -h/--help for more details."
        )
    files = _collect([spec_file, handler, *_expand(extra_files)])
    workflow = {"workflowName": workflow_name, "specFile": Path(spec_file).name}
    if handler:
        workflow["handler"] = Path(handler).name
    manifest = {"createdOn": _created_on(files), "workflow": workflow, "archiverVersion": ARCHIVER_VERSION}
    folder.mkdir(parents=True, exist_ok=True)
    _write(target, json.dumps(manifest, indent=2) + "\n", files)
    return str(target)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torch-workflow-archiver", description="Packs a workflow into a .war file.")
    parser.add_argument("--workflow-name", required=True, help="name of the workflow and of the archive")
    parser.add_argument("--spec-file", required=True, help="YAML file with the workflow's models and graph")
    parser.add_argument("--handler", help="Python file with the workflow's functions")
    parser.add_argument("--extra-files", help="files and directories with commas between them, wildcards allowed")
    parser.add_argument("--export-path", help="where the archive goes (default: here)")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite an existing archive")
    return parser


def _expand(extra_files: Optional[str]) -> List[str]:
    paths: List[str] = []
    for entry in filter(None, (extra_files or "").split(",")):
        found = [entry] if os.path.exists(entry) else sorted(glob.glob(entry))
        if not found:
            raise WorkflowArchiverError(f"extra-files: no such file: {entry}")
        paths += found
    return paths


def _collect(paths: List[Optional[str]]) -> Dict[str, Path]:
    """Archive names and where they come from; a directory stands for its content."""
    files: Dict[str, Path] = {}
    for path in map(Path, filter(None, paths)):
        if path.is_dir():
            found = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
            found = {name: file for name, file in found.items() if not _is_litter(Path(name))}
        elif path.is_file():
            found = {path.name: path}
        else:
            raise WorkflowArchiverError(f"no such file: {path}")
        for name, file in found.items():
            if files.setdefault(name, file).resolve() != file.resolve():
                raise WorkflowArchiverError(f"two files are named {name}: {files[name]} and {file}")
    return files


def _is_litter(name: Path) -> bool:
    return any(part in ("__MACOSX", "__pycache__") or part.startswith(".") for part in name.parts[:-1])


def _created_on(files: Dict[str, Path]) -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    seconds = float(epoch) if epoch else max(file.stat().st_mtime for file in files.values())
    return time.strftime("%d/%m/%Y %H:%M:%S", time.gmtime(seconds))


def _write(target: Path, manifest: str, files: Dict[str, Path]) -> None:
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_entry("WAR-INF/MANIFEST.json"), manifest)
            for name in sorted(files):
                archive.writestr(_entry(name), files[name].read_bytes())
        os.chmod(partial, 0o644)
        os.replace(partial, target)
    except BaseException:
        os.unlink(partial)
        raise


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, FIXED_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    return entry
