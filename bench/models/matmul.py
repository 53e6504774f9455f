"""One matrix multiplication a request: what a model does between its frames."""

import torch

SIZE = 512
_left = torch.rand(SIZE, SIZE)


def handle(data, context):
    if data is None:
        return None
    with torch.inference_mode():
        return [f"{float((_left @ _left).sum()):012.1f}"[:12] for _ in data]
