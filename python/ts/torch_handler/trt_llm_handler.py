"""Large language models on TensorRT-LLM (surface spec 9.2)."""

from __future__ import annotations

from ts.torch_handler.absent_engine import AbsentEngineHandler


class TRTLLMHandler(AbsentEngineHandler):
    packages = ("tensorrt_llm",)
