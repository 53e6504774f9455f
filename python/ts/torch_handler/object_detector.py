"""Boxes, labels and scores of the objects in an image (surface spec 9.4)."""

from __future__ import annotations

from typing import Any

from ts.torch_handler.image_transforms import Compose, ToRgb, ToTensor
from ts.torch_handler.vision_handler import VisionHandler


class ObjectDetector(VisionHandler):
    image_processing = Compose([ToRgb(), ToTensor()])
    threshold = 0.5

    def preprocess(self, data: list[Any]) -> Any:
        """A list: images of a detector may differ in size."""
        return [super(ObjectDetector, self).preprocess([row])[0] for row in data]

    def postprocess(self, data: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """`{label: [x1, y1, x2, y2], "score": s}` for every object at or above the threshold."""
        return [self._objects(found) for found in data]

    def _objects(self, found: dict[str, Any]) -> list[dict[str, Any]]:
        rows = zip(found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist())
        return [
            {self._label(label): box, "score": score} for box, label, score in rows if score >= self.threshold
        ]

    def _label(self, index: int) -> str:
        return str(index) if self.mapping is None else self.mapping.get(str(index), str(index))
