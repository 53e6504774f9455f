"""A TorchServe handler for the digits: nothing in it knows which server runs it."""

import io
import json
import os

import torch
from PIL import Image
from ts.torch_handler.base_handler import BaseHandler


class DigitsHandler(BaseHandler):
    """Takes a PNG or JPEG image, or JSON rows of 8x8 numbers from 0 to 1; answers label: probability, best first."""

    def initialize(self, context):
        weights = context.manifest["model"]["serializedFile"]
        if weights.endswith(".safetensors"):
            self._load_safetensors(context, weights)
        else:
            super().initialize(context)
        self.model.eval()

    def _load_safetensors(self, context, weights):
        # TorchServe's BaseHandler knows no safetensors, so a handler that wants them loads them itself.
        from model import DigitNet
        from safetensors.torch import load_file

        folder = context.system_properties["model_dir"]
        self.device = torch.device("cpu")
        self.model = DigitNet()
        self.model.load_state_dict(load_file(os.path.join(folder, weights)))
        with open(os.path.join(folder, "index_to_name.json"), encoding="utf-8") as file:
            self.mapping = json.load(file)
        self.initialized = True

    def preprocess(self, data):
        return torch.stack([self._to_tensor(row.get("data") or row.get("body")) for row in data]).to(self.device)

    def _to_tensor(self, value):
        if isinstance(value, (bytes, bytearray)):
            image = Image.open(io.BytesIO(value)).convert("L").resize((8, 8), Image.Resampling.BOX)
            return torch.tensor(list(image.tobytes()), dtype=torch.float32).reshape(1, 8, 8) / 255
        return torch.tensor(value, dtype=torch.float32).reshape(1, 8, 8)

    def postprocess(self, data):
        probabilities = torch.softmax(data, dim=1)
        best, labels = probabilities.topk(5, dim=1)
        return [
            {self.mapping[str(label)]: probability for label, probability in zip(row_labels, row)}
            for row_labels, row in zip(labels.tolist(), best.tolist())
        ]
