"""`torch-workflow-archiver` (surface spec 8.8): packs a workflow's spec and handler into a `.war` file. Stdlib only.

Reproducible like Davy's model archives: entries sorted, times fixed, nothing depends on the user or the clock but
`createdOn`, which SOURCE_DATE_EPOCH or the newest input decides.
"""

from .workflow_packaging import WorkflowArchiverError, generate_workflow_archive, write_workflow_archive

__all__ = ["WorkflowArchiverError", "generate_workflow_archive", "write_workflow_archive"]
