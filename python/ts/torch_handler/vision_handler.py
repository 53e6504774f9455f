"""What the image handlers share: decoding, transforms, explanations (surface spec 9.4)."""

from __future__ import annotations

import base64
import io
from abc import ABC
from functools import cached_property
from typing import Any

from ts.torch_handler.base_handler import BaseHandler

EXPLANATION_STEPS = 15


class VisionHandler(BaseHandler, ABC):
    """Derived classes set `image_processing`, any callable from a Pillow image, of whatever mode it came in, to a tensor."""

    image_processing: Any

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        if not context.system_properties.get("limit_max_image_pixels", True):
            from PIL import Image

            Image.MAX_IMAGE_PIXELS = None

    def preprocess(self, data: list[Any]) -> Any:
        """Images (bytes, base64 text, or nested lists of numbers) as one batch tensor."""
        import torch

        return torch.stack([self._tensor_of(_value_of(row)) for row in data]).to(self.device)

    def _tensor_of(self, value: Any) -> Any:
        import torch

        if isinstance(value, str):
            value = base64.b64decode(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            from PIL import Image

            with Image.open(io.BytesIO(value)) as image:
                image.load()
                return self.image_processing(image)
        return torch.tensor(value, dtype=torch.float32)

    @cached_property
    def ig(self) -> Any:
        """Captum's integrated gradients of the model; made on the first explanation."""
        try:
            from captum.attr import IntegratedGradients
        except ImportError:
            raise RuntimeError("explanations need the package captum, which is not installed") from None
        return IntegratedGradients(self.model)

    def get_insights(self, tensor_data: Any, _: Any, target: Any = 0) -> list[Any]:
        """How much each input value counted for `target`, by integrated gradients."""
        return self.ig.attribute(tensor_data, target=target, n_steps=EXPLANATION_STEPS).tolist()


def _value_of(row: Any) -> Any:
    """What the request carries under `data` or `body`; JSON bodies may wrap it once more."""
    value = row
    for _ in range(2):
        if not isinstance(value, dict):
            break
        value = value.get("data") if value.get("data") is not None else value.get("body")
    return value
