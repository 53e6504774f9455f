"""The archivers' Python faces: what TorchServe's users import must write archives that Davy admits."""

import json
import tempfile
import unittest
import zipfile
from pathlib import Path

import harness  # noqa: F401  (puts the packages on the path)
from model_archiver import ModelArchiverConfig, ModelArchiverError
from model_archiver.model_packaging import generate_model_archive
from workflow_archiver import WorkflowArchiverError, write_workflow_archive


class ModelArchiver(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "h.py").write_text("def handle(data, context): return data\n")

    def config(self, **changes):
        given = {"model_name": "noop", "handler": str(self.root / "h.py"), "export_path": str(self.root)}
        return ModelArchiverConfig(**{**given, **changes})

    def test_an_archive_written_from_python_holds_manifest_and_handler(self):
        generate_model_archive(self.config(version="2.0"))
        with zipfile.ZipFile(self.root / "noop.mar") as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(sorted(archive.namelist()), ["MAR-INF/MANIFEST.json", "h.py"])
            manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
        self.assertEqual(manifest["model"], {"modelName": "noop", "handler": "h.py", "modelVersion": "2.0"})

    def test_an_existing_archive_is_an_error_without_force(self):
        generate_model_archive(self.config())
        with self.assertRaisesRegex(ModelArchiverError, "already exists"):
            generate_model_archive(self.config())
        generate_model_archive(self.config(force=True))

    def test_a_value_is_never_taken_for_a_flag(self):
        self.assertIn("--version=--force", self.config(version="--force").to_arguments())


class WorkflowArchiver(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "spec.yaml").write_text("models: {}\ndag: {}\n")
        (self.root / "h.py").write_text("")

    def write(self, **changes):
        given = {"workflow_name": "flow", "spec_file": str(self.root / "spec.yaml"), "export_path": str(self.root)}
        return Path(write_workflow_archive(**{**given, **changes}))

    def test_a_workflow_archive_names_its_spec_and_is_reproducible(self):
        first = self.write(handler=str(self.root / "h.py")).read_bytes()
        path = self.write(handler=str(self.root / "h.py"), force=True)
        self.assertEqual(path.read_bytes(), first)
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("WAR-INF/MANIFEST.json"))
            self.assertEqual(sorted(archive.namelist()), ["WAR-INF/MANIFEST.json", "h.py", "spec.yaml"])
        self.assertEqual(manifest["workflow"], {"workflowName": "flow", "specFile": "spec.yaml", "handler": "h.py"})

    def test_what_cannot_be_packed_is_an_error_and_leaves_nothing(self):
        for changes in ({"workflow_name": "../x"}, {"spec_file": "absent"}, {"extra_files": "absent*"}):
            with self.assertRaises(WorkflowArchiverError):
                self.write(**changes)
        self.write()
        with self.assertRaisesRegex(WorkflowArchiverError, "already exists"):
            self.write()
        self.assertEqual(sorted(path.name for path in self.root.iterdir()), ["flow.war", "h.py", "spec.yaml"])


if __name__ == "__main__":
    unittest.main()
