"""Image transforms with torchvision's numbers, made of Pillow and torch alone."""

from __future__ import annotations

from typing import Any, Callable, Sequence

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Compose:
    """One transform after another."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


class ToRgb:
    """Three channels, whatever the image came with. Transforms of users' own get the image as it came."""

    def __call__(self, image: Any) -> Any:
        return image.convert("RGB")


class Resize:
    """The shorter edge becomes `size` pixels; bilinear with antialiasing, as Pillow does it."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Any) -> Any:
        from PIL import Image

        width, height = image.size
        if min(width, height) == self.size:
            return image
        if width <= height:
            target = (self.size, int(self.size * height / width))
        else:
            target = (int(self.size * width / height), self.size)
        return image.resize(target, Image.Resampling.BILINEAR)


class CenterCrop:
    """A square from the middle; what lies outside a smaller image is black."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Any) -> Any:
        width, height = image.size
        if width < self.size or height < self.size:
            image, (width, height) = _padded(image, self.size)
        left = int(round((width - self.size) / 2.0))
        top = int(round((height - self.size) / 2.0))
        return image.crop((left, top, left + self.size, top + self.size))


class ToTensor:
    """A float tensor [channels, height, width] in 0..1."""

    def __call__(self, image: Any) -> Any:
        import torch

        channels = len(image.getbands())
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        planes = pixels.view(image.size[1], image.size[0], channels).permute(2, 0, 1).contiguous()
        return planes.to(torch.float32).div(255)


class Normalize:
    """Subtracts the mean and divides by the deviation of each channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = tuple(mean)
        self.std = tuple(std)

    def __call__(self, tensor: Any) -> Any:
        import torch

        mean = torch.tensor(self.mean, dtype=tensor.dtype).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=tensor.dtype).view(-1, 1, 1)
        return tensor.sub(mean).div(std)


def imagenet() -> Compose:
    """The preprocessing of the image classifier and segmenter (surface spec 9.4)."""
    return Compose([ToRgb(), Resize(256), CenterCrop(224), ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)])


def _padded(image: Any, size: int) -> tuple[Any, tuple[int, int]]:
    from PIL import Image

    width, height = image.size
    left = (size - width) // 2 if width < size else 0
    top = (size - height) // 2 if height < size else 0
    canvas = Image.new(image.mode, (max(width, size), max(height, size)))
    canvas.paste(image, (left, top))
    return canvas, canvas.size
