"""The handler TorchServe ships for its DenseNet example (surface spec 9.2)."""

from __future__ import annotations

from ts.torch_handler.image_classifier import ImageClassifier


class DenseNetHandler(ImageClassifier):
    """Classifies images. TorchServe's also unpickled request bodies; here a body is an image or it is refused."""
