"""What text handlers share: vocabulary, tokens, explanations (surface spec 9.4)."""

from __future__ import annotations

import os
import re
import string
import unicodedata
from abc import ABC
from typing import Any, Iterator

from ts.torch_handler.base_handler import BaseHandler
from ts.torch_handler.contractions import ENDINGS, EXPANSIONS
from ts.torch_handler.vocabulary import Vocabulary, load_vocabulary

_TAG = re.compile(r"<[^>]{0,1000}>")
_CONTRACTION = re.compile(r"\b[a-z]+'[a-z]+\b", re.IGNORECASE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class TextHandler(BaseHandler, ABC):
    """Loads `source_vocab.pt` (or what the manifest's `sourceVocab` names) beside the model."""

    def __init__(self) -> None:
        super().__init__()
        self.source_vocab: Vocabulary | None = None

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        named = ((self.manifest or {}).get("model") or {}).get("sourceVocab")
        path = os.path.join(context.system_properties["model_dir"], named or "source_vocab.pt")
        self.source_vocab = load_vocabulary(path)

    def get_source_vocab_path(self, ctx: Any) -> str:
        named = ((ctx.manifest or {}).get("model") or {}).get("sourceVocab")
        return os.path.join(ctx.system_properties["model_dir"], named or "source_vocab.pt")

    def get_word_token(self, input_tokens: list[str]) -> list[str]:
        return [token for token in input_tokens if token.strip()]

    def _tokenize(self, text: str) -> list[str]:
        return text.lower().split()

    def _remove_html_tags(self, text: str) -> str:
        return _TAG.sub("", text)

    def _expand_contractions(self, text: str) -> str:
        return _CONTRACTION.sub(_expanded, text)

    def _remove_accented_characters(self, text: str) -> str:
        return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")

    def _remove_punctuation(self, text: str) -> str:
        return text.translate(_PUNCTUATION)

    def summarize_attributions(self, attributions: Any) -> Any:
        """One number for each token, scaled to length one."""
        import torch

        summed = attributions.sum(dim=-1).squeeze(0)
        return summed / torch.norm(summed).clamp_min(torch.finfo(summed.dtype).tiny)


def ngrams(tokens: list[str], longest: int) -> Iterator[str]:
    """Every token, then every pair of neighbours, up to `longest` tokens joined by a space."""
    for size in range(1, longest + 1):
        for start in range(len(tokens) - size + 1):
            yield " ".join(tokens[start : start + size])


def _expanded(match: re.Match[str]) -> str:
    word = match.group(0)
    whole = EXPANSIONS.get(word.lower())
    if whole is None:
        for ending, expansion in ENDINGS.items():
            if word.lower().endswith(ending):
                whole = word[: -len(ending)] + expansion
                break
    if whole is None:
        return word
    return word[0] + whole[1:]
