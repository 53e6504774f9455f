"""Trains the digits network and writes everything in this folder that is not source.

    python train.py            (about half a minute on one core)

Data: scikit-learn's handwritten digits, 1,797 grey images of 8x8 pixels with 17 levels.
Seed, split and thread count are fixed, so the same library versions give the same weights.
"""

import json
import struct
import zlib
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from model import DigitNet

HERE = Path(__file__).parent
SEED = 7
HELD_OUT = 360
EPOCHS = 40
BATCH = 32
LEAST_ACCURACY = 0.97
EXAMPLE_ENLARGEMENT = 16


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    levels, labels = load_digits(return_X_y=True)
    levels = levels.reshape(-1, 8, 8).astype(numpy.uint8)
    train_x, test_x, train_y, test_y = train_test_split(
        levels, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels
    )
    model = train(as_input(train_x), torch.tensor(train_y))
    accuracy = measure(model, as_input(test_x), torch.tensor(test_y))
    print(f"held-out accuracy: {accuracy:.4f} ({HELD_OUT} images)")
    if accuracy < LEAST_ACCURACY:
        raise SystemExit(f"below {LEAST_ACCURACY}: nothing was written")
    export(model)
    write_held_out(test_x, test_y, accuracy)
    write_examples(model, test_x, test_y)


def as_pixels(levels: numpy.ndarray) -> numpy.ndarray:
    """The 17 levels of the data set as bytes, 0 to 255: what an image file holds and what the network is trained on."""
    return numpy.rint(levels * (255 / 16)).astype(numpy.uint8)


def as_input(levels: numpy.ndarray) -> torch.Tensor:
    return torch.tensor(as_pixels(levels), dtype=torch.float32).unsqueeze(1) / 255


def train(images: torch.Tensor, labels: torch.Tensor) -> DigitNet:
    model = DigitNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad()
            loss_of(model(shifted(images[chosen])), labels[chosen]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def shifted(images: torch.Tensor) -> torch.Tensor:
    """Every image moved by at most one pixel to the side: cheap augmentation."""
    step = int(torch.randint(-1, 2, (1,)))
    return torch.roll(images, step, dims=3)


def measure(model: DigitNet, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.inference_mode():
        return (model(images).argmax(1) == labels).float().mean().item()


def export(model: DigitNet) -> None:
    example = torch.zeros(1, 1, 8, 8)
    save_file(model.state_dict(), HERE / "digits.safetensors")
    torch.jit.trace(model, example).save(str(HERE / "digits.pt"))
    torch.onnx.export(
        model,
        (example,),
        str(HERE / "digits.onnx"),
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        dynamo=False,
    )


def write_held_out(levels: numpy.ndarray, labels: numpy.ndarray, accuracy: float) -> None:
    """One hexadecimal text of 128 characters for each image: 64 pixel bytes, row by row."""
    document = {
        "about": "scikit-learn digits, held out from training; 64 pixel bytes (0 to 255) an image, hexadecimal",
        "accuracy": round(accuracy, 4),
        "labels": [int(label) for label in labels],
        "images": [as_pixels(image).tobytes().hex() for image in levels],
    }
    (HERE / "held-out.json").write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")


def write_examples(model: DigitNet, levels: numpy.ndarray, labels: numpy.ndarray) -> None:
    """Of each of five digits the first held-out image that the network reads right, enlarged so that a person can see it."""
    with torch.inference_mode():
        is_right = model(as_input(levels)).argmax(1).numpy() == labels
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    for digit in (0, 3, 5, 7, 8):
        pixels = as_pixels(levels[(labels == digit) & is_right][0])
        (folder / f"{digit}.png").write_bytes(grey_png(numpy.kron(pixels, numpy.ones((EXAMPLE_ENLARGEMENT,) * 2, numpy.uint8))))


def grey_png(pixels: numpy.ndarray) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    main()
