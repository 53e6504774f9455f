"""The handler most handlers derive from (surface spec 9.3)."""

from __future__ import annotations

import abc
import importlib
import importlib.util
import logging
import os
import tempfile
import time
from typing import Any

from ts.torch_handler import compilation, weights
from ts.utils.util import list_classes_from_module, load_label_mapping

logger = logging.getLogger(__name__)


class BaseHandler(abc.ABC):
    """Loads a model and runs preprocess, inference, postprocess on each batch."""

    def __init__(self) -> None:
        self.model: Any = None
        self.mapping: dict[str, Any] | None = None
        self.device: Any = None
        self.map_location: Any = None
        self.initialized = False
        self.context: Any = None
        self.model_pt_path: str | None = None
        self.manifest: Any = None
        self.explain = False
        self.target: Any = 0
        self.profiler_args: dict[str, Any] = {}
        self.model_yaml_config: dict[str, Any] = {}

    def initialize(self, context: Any) -> None:
        """Loads weights, mapping and compile options of the archive."""
        self.context = context
        properties = context.system_properties
        model_dir = properties.get("model_dir")
        self.model_yaml_config = context.model_yaml_config or {}
        self.manifest = context.manifest or {}
        self.map_location, self.device = _device_of(properties.get("gpu_id"))
        self.model = self._load(model_dir, properties)
        options = compilation.compile_options(self.model_yaml_config)
        if options is not None:
            self.model = compilation.compile_model(self.model, options)
        self.mapping = load_label_mapping(os.path.join(model_dir, "index_to_name.json"))
        self.initialized = True

    def _load(self, model_dir: str, properties: dict[str, Any]) -> Any:
        """The model, by the kind of its files."""
        described = self.manifest.get("model") or {}
        serialized, model_file = described.get("serializedFile"), described.get("modelFile")
        path = os.path.join(model_dir, serialized) if serialized else None
        self.model_pt_path = path
        if model_file:
            model = self._load_pickled_model(model_dir, model_file, path)
        elif path is None:
            raise RuntimeError("No model weights could be loaded")
        elif compilation.wants_aot_package(self.model_yaml_config) and path.endswith((".so", ".pt2")):
            return compilation.load_aot_package(path, self.device)
        elif path.endswith(".pt"):
            model = self._load_torchscript_model(path)
        elif path.endswith(".onnx"):
            from ts.torch_handler.onnx_session import OnnxModel

            return OnnxModel(path, properties.get("gpu_id"), int(os.getenv("OMP_NUM_THREADS", "1")))
        else:
            raise RuntimeError("No model weights could be loaded")
        model.to(self.device)
        model.eval()
        return model

    def _load_torchscript_model(self, model_pt_path: str) -> Any:
        import torch

        return torch.jit.load(model_pt_path, map_location=self.device)

    def _load_pickled_model(self, model_dir: str, model_file: str, model_pt_path: str | None) -> Any:
        """An eager model: the class of `model_file`, with weights if there are any. Nothing is unpickled freely."""
        if not os.path.isfile(os.path.join(model_dir, model_file)):
            raise RuntimeError("Missing the model.py file")
        module = importlib.import_module(os.path.splitext(os.path.basename(model_file))[0])
        classes = list_classes_from_module(module)
        if len(classes) != 1:
            raise ValueError(f"Expected only one class as model definition. {classes}")
        model = classes[0]()
        if model_pt_path:
            model.load_state_dict(weights.load_state_dict(model_pt_path, self.map_location))
        return model

    def preprocess(self, data: Any) -> Any:
        """The batch as one tensor."""
        import torch

        return torch.as_tensor(data, device=self.device)

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """The model's answer, without gradients."""
        import torch

        with torch.inference_mode():
            moved = data.to(self.device) if isinstance(data, torch.Tensor) else data
            return self.model(moved, *args, **kwargs)

    def postprocess(self, data: Any) -> list[Any]:
        """One item for each request."""
        return data.tolist()

    def handle(self, data: Any, context: Any) -> Any:
        """Runs one batch; what the route asks for decides between predict, explain and describe."""
        started = time.perf_counter()
        self.context = context
        if os.getenv("ENABLE_TORCH_PROFILER", "").lower() not in ("", "0", "false"):
            output = self._handle_profiled(data)
        else:
            output = self._handle(data)
        context.metrics.add_time("HandlerTime", round((time.perf_counter() - started) * 1000, 2))
        return output

    def _handle(self, data: Any) -> Any:
        if self._is_describe():
            return [self.describe_handle()]
        preprocessed = self.preprocess(data)
        if self._is_explain():
            return self.explain_handle(preprocessed, data)
        return self.postprocess(self.inference(preprocessed))

    def _handle_profiled(self, data: Any) -> Any:
        """The same under the torch profiler, one trace for each batch."""
        from torch.profiler import ProfilerActivity, profile, tensorboard_trace_handler

        name = str(self.manifest.get("model", {}).get("modelName", "default"))
        folder = os.path.join(tempfile.gettempdir(), "pytorch_profiler", os.path.basename(name))
        arguments = {
            "activities": [ProfilerActivity.CPU],
            "record_shapes": True,
            "on_trace_ready": tensorboard_trace_handler(folder),
            **self.profiler_args,
        }
        with profile(**arguments):
            return self._handle(data)

    def explain_handle(self, data_preprocess: Any, raw_data: Any) -> Any:
        """Explains the first request: its input and `target` (default 0) go to `get_insights`."""
        row = raw_data[0]
        inputs = None
        if isinstance(row, dict):
            inputs = row.get("data") if row.get("data") is not None else row.get("body")
            target = row.get("target", 0)
            if target in (0, None) and isinstance(inputs, dict):
                target = inputs.get("target", 0)
        else:
            target = 0
        if isinstance(target, (bytes, bytearray, str)):
            target = int(target)
        logger.info("Calculating explanations for target %s", target)
        return self.get_insights(data_preprocess, inputs, target)

    def get_insights(self, tensor_data: Any, raw_data: Any, target: Any) -> Any:
        """Overridden by handlers that can explain."""
        raise NotImplementedError(f"{type(self).__name__} does not explain its predictions")

    def describe_handle(self) -> Any:
        """Overridden by handlers that describe themselves."""
        return None

    def _is_explain(self) -> bool:
        return self._asked_for("explain")

    def _is_describe(self) -> bool:
        return self._asked_for("describe")

    def _asked_for(self, operation: str) -> bool:
        """The route's choice; contexts made by unit tests know only the header."""
        if self.context is None:
            return False
        chosen = getattr(self.context, "operation", None)
        if isinstance(chosen, str):
            return chosen == operation
        return self.context.get_request_header(0, operation) == "True"


def _device_of(gpu_id: int | None) -> tuple[str, Any]:
    """`map_location` and device: CUDA with a GPU id, else XPU, MPS, XLA, else CPU."""
    import torch

    if gpu_id is not None:
        if torch.cuda.is_available():
            return "cuda", torch.device(f"cuda:{gpu_id}")
        if os.getenv("TS_IPEX_GPU_ENABLE", "").lower() == "true" and torch.xpu.is_available():
            return "xpu", torch.device(f"xpu:{gpu_id}")
    if torch.backends.mps.is_available():
        return "mps", torch.device("mps")
    if importlib.util.find_spec("torch_xla") is not None:
        import torch_xla.core.xla_model as xla

        return "xla", xla.xla_device()
    return "cpu", torch.device("cpu")
