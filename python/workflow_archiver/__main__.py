"""`python -m workflow_archiver`: the `torch-workflow-archiver` command."""

from .workflow_packaging import generate_workflow_archive

generate_workflow_archive()
