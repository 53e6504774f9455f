"""The word list of text models (`source_vocab.pt`), read without unpickling objects."""

from __future__ import annotations

import json
import os
from typing import Any, Iterable

from ts.torch_handler import weights

UNKNOWN = ("<unk>", "[UNK]", "UNK")


class Vocabulary:
    """Maps a token to its index; callable with a token list like torchtext's vocabulary."""

    def __init__(self, index_of: dict[str, int]) -> None:
        self._index_of = index_of
        self._default = next((index_of[token] for token in UNKNOWN if token in index_of), 0)

    def __getitem__(self, token: str) -> int:
        return self._index_of.get(token, self._default)

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        return [self[token] for token in tokens]

    def __len__(self) -> int:
        return len(self._index_of)

    def __contains__(self, token: str) -> bool:
        return token in self._index_of

    def get_stoi(self) -> dict[str, int]:
        return self._index_of


def load_vocabulary(path: str) -> Vocabulary:
    """From a checkpoint of a dict or list, a JSON file of the same, or text with one token a line.

    A pickled torchtext object is refused with a line that says how to convert it.
    """
    name = os.path.basename(path)
    if path.endswith(".json"):
        with open(path, encoding="utf-8") as file:
            return _vocabulary_of(json.load(file), name)
    if path.endswith((".txt", ".vocab")):
        with open(path, encoding="utf-8") as file:
            return _vocabulary_of(file.read().splitlines(), name)
    try:
        content = weights.load_checkpoint(path)
    except Exception as error:
        raise RuntimeError(
            f"{name} cannot be loaded safely. If it is a torchtext vocabulary, save it once more with "
            f"torch.save(vocab.get_stoi(), '{name}'). Cause: {str(error).splitlines()[0]}"
        ) from None
    return _vocabulary_of(content, name)


def _vocabulary_of(content: Any, name: str) -> Vocabulary:
    if isinstance(content, (list, tuple)) and all(isinstance(token, str) for token in content):
        return Vocabulary({token: index for index, token in enumerate(content)})
    if isinstance(content, dict):
        if isinstance(content.get("stoi"), dict):
            content = content["stoi"]
        if all(isinstance(token, str) and isinstance(index, int) for token, index in content.items()):
            return Vocabulary(dict(content))
    raise RuntimeError(f"{name} is neither a list of tokens nor a map from token to index")
