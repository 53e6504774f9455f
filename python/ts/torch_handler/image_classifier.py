"""The five most likely classes of an image (surface spec 9.4)."""

from __future__ import annotations

from typing import Any

from ts.torch_handler.image_transforms import imagenet
from ts.torch_handler.vision_handler import VisionHandler
from ts.utils.util import map_class_to_label


class ImageClassifier(VisionHandler):
    topk = 5
    image_processing = imagenet()

    def set_max_result_classes(self, topk: int) -> None:
        self.topk = topk

    def get_max_result_classes(self) -> int:
        return self.topk

    def postprocess(self, data: Any) -> list[dict[Any, float]]:
        """One `{label: probability}` for each image, best first."""
        import torch

        probabilities = torch.nn.functional.softmax(data, dim=1)
        best, classes = torch.topk(probabilities, min(self.topk, probabilities.shape[1]), dim=1)
        return map_class_to_label(best.tolist(), self.mapping, classes.tolist())
