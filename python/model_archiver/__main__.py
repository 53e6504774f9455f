"""`python -m model_archiver`: the `torch-model-archiver` command."""

from .model_packaging import generate_model_archive

generate_model_archive()
