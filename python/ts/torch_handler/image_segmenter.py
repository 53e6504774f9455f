"""Class and probability of every pixel of an image (surface spec 9.4)."""

from __future__ import annotations

from typing import Any

from ts.torch_handler.image_transforms import imagenet
from ts.torch_handler.vision_handler import VisionHandler


class ImageSegmenter(VisionHandler):
    image_processing = imagenet()

    def postprocess(self, data: Any) -> list[Any]:
        """[height][width][class index, probability] for each image."""
        import torch

        scores = data["out"] if isinstance(data, dict) else data
        best, classes = torch.max(torch.nn.functional.softmax(scores, dim=1), dim=1)
        return torch.stack([classes.to(best.dtype), best], dim=3).tolist()
