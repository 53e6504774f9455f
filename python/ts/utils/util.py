"""`ts.utils.util` as TorchServe handlers import it (surface spec 9.2)."""

from __future__ import annotations

import inspect
import itertools
import json
import logging
import os
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)

PT2_BACKENDS = frozenset(
    (
        "eager",
        "aot_eager",
        "inductor",
        "nvfuser",
        "aot_nvfuser",
        "aot_cudagraphs",
        "ofi",
        "fx2trt",
        "onnxrt",
        "ipex",
        "torchxla_trace_once",
        "openvino",
        "tensorrt",
        "hpu_backend",
    )
)


class PredictionException(Exception):
    """Raised by a handler to choose the status and message of the response (surface spec 9.7)."""

    def __init__(self, message: str, error_code: int = 500) -> None:
        self.message = message
        self.error_code = error_code
        super().__init__(message)

    def __str__(self) -> str:
        return f"message : {self.message} error_code : {self.error_code}"


def list_classes_from_module(module: ModuleType, parent_class: type | None = None) -> list[type]:
    """The classes that a module itself defines, optionally only those derived from `parent_class`."""
    classes = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__
    ]
    if parent_class is not None:
        classes = [member for member in classes if issubclass(member, parent_class)]
    return classes


def load_label_mapping(mapping_file_path: str) -> dict[str, Any] | None:
    """Reads index_to_name.json in any of its three shapes (surface spec 9.4); None without the file."""
    if not os.path.isfile(mapping_file_path):
        logger.warning(
            "%s is missing. Inference output will not include class name.",
            os.path.basename(mapping_file_path),
        )
        return None
    with open(mapping_file_path, encoding="utf-8") as file:
        mapping = json.load(file)
    if not isinstance(mapping, dict):
        raise ValueError("index_to_name mapping should be in 'class':'label' json format")
    if "object_type_names" in mapping:
        return {str(index): name for index, name in enumerate(mapping["object_type_names"])}
    return {str(key): value[-1] if isinstance(value, list) else value for key, value in mapping.items()}


def map_class_to_label(
    probs: list[Any],
    mapping: dict[str, Any] | None = None,
    lbl_classes: list[Any] | None = None,
) -> list[dict[Any, Any]]:
    """One `{label: probability}` for each row of `probs`; without a mapping the class index is the label."""
    if not isinstance(probs, list):
        raise TypeError("Convert classes to list before doing mapping")
    if mapping is not None and not isinstance(mapping, dict):
        raise TypeError("Mapping must be a dict")
    if lbl_classes is None:
        lbl_classes = list(itertools.repeat(range(len(probs[0])), len(probs))) if probs else []
    return [
        {
            (mapping.get(str(index), str(index)) if mapping is not None else str(index)): prob
            for index, prob in zip(classes, row)
        }
        for classes, row in zip(lbl_classes, probs)
    ]


def get_yaml_config(yaml_file_path: str) -> dict[str, Any]:
    """Parses a YAML file safely; needs PyYAML in the worker's Python."""
    try:
        import yaml
    except ImportError:
        raise RuntimeError("get_yaml_config needs the package PyYAML, which is not installed") from None
    with open(yaml_file_path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def check_valid_pt2_backend(backend: str) -> bool:
    """Whether torch.compile takes this backend; an unknown one is logged."""
    if backend in PT2_BACKENDS:
        return True
    logger.warning("%s is not a supported backend", backend)
    return False
