"""Envelope `kservev2`: Open Inference Protocol tensors, one request at a time (surface spec 9.9)."""

from __future__ import annotations

from typing import Any

from ts.torch_handler.request_envelope.base import BaseEnvelope, json_body_of

# Open Inference Protocol datatype and NumPy's name for it.
DATATYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
NAMES = {numpy_name: name for name, numpy_name in DATATYPES.items()}


class KServev2Envelope(BaseEnvelope):
    # Set while a request is parsed, read when its answer is formatted.
    _request_id: str | None = None
    _input_names: list[str] = []

    def parse_input(self, data: list[Any]) -> list[Any]:
        body = json_body_of(data[0])
        inputs = body.get("inputs")
        if not isinstance(inputs, list):
            raise ValueError('the request body has no "inputs" list')
        self._request_id = body.get("id")
        self._input_names = [tensor["name"] for tensor in inputs]
        return [_value_of(tensor) for tensor in inputs]

    def format_output(self, data: list[Any]) -> list[Any]:
        return [
            {
                "id": self._request_id or self.context.get_request_id(0),
                "model_name": self.context.model_name,
                "model_version": _version_of(self.context.manifest),
                "outputs": [self._output(index, item) for index, item in enumerate(data)],
            }
        ]

    def _output(self, index: int, item: Any) -> dict[str, Any]:
        import numpy

        array = numpy.asarray(item)
        kind = NAMES.get(array.dtype.name, "BYTES")
        names = self._input_names
        return {
            "name": names[index] if index < len(names) else f"output-{index}",
            "datatype": kind,
            "data": array.flatten().tolist() if kind != "BYTES" else [item],
            "shape": list(array.flatten().shape) if kind != "BYTES" else [1],
        }


def _value_of(tensor: dict[str, Any]) -> Any:
    """Numbers as an array of the given shape; BYTES as the first element."""
    import numpy

    kind = tensor.get("datatype")
    if kind == "BYTES":
        return tensor["data"][0]
    if kind not in DATATYPES:
        raise ValueError(f"datatype {kind!r} is not one of the Open Inference Protocol's")
    array = numpy.array(tensor["data"], dtype=DATATYPES[kind])
    return array.reshape(tensor["shape"])


def _version_of(manifest: Any) -> str | None:
    return ((manifest or {}).get("model") or {}).get("modelVersion")
