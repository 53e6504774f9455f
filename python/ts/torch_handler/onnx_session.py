"""Runs an ONNX model for BaseHandler as if it were a torch module (surface spec 9.3)."""

from __future__ import annotations

from typing import Any


class OnnxModel:
    """Callable with one tensor for each input; gives one tensor, or a list of them."""

    def __init__(self, path: str, gpu_id: int | None, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise RuntimeError("an .onnx model needs the package onnxruntime, which is not installed") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        providers: list[Any] = ["CPUExecutionProvider"]
        if gpu_id is not None and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": gpu_id}))
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        self._inputs = [entry.name for entry in self.session.get_inputs()]

    def __call__(self, *tensors: Any) -> Any:
        import torch

        arrays = [tensor.detach().cpu().numpy() if isinstance(tensor, torch.Tensor) else tensor for tensor in tensors]
        outputs = [torch.as_tensor(array) for array in self.session.run(None, dict(zip(self._inputs, arrays)))]
        return outputs[0] if len(outputs) == 1 else outputs

    def run(self, output_names: Any, feed: dict[str, Any]) -> Any:
        """The session's own call, for handlers written against onnxruntime."""
        return self.session.run(output_names, feed)

    def get_inputs(self) -> Any:
        return self.session.get_inputs()

    def get_outputs(self) -> Any:
        return self.session.get_outputs()

    def eval(self) -> "OnnxModel":
        return self
