"""The probability of every class for a text (surface spec 9.4)."""

from __future__ import annotations

from typing import Any

from ts.torch_handler.text_handler import TextHandler, ngrams
from ts.utils.util import map_class_to_label

EXPLANATION_STEPS = 15


class TextClassifier(TextHandler):
    """For models that take (token indexes, offsets). As in TorchServe only the first request of a batch counts."""

    ngrams = 2

    def preprocess(self, data: list[Any]) -> tuple[Any, list[str]]:
        """Token indexes of the words and word pairs, and the words."""
        import torch

        row = data[0]
        text = row.get("data") if row.get("data") is not None else row.get("body")
        if isinstance(text, dict):
            text = text.get("data") if text.get("data") is not None else text.get("body")
        if isinstance(text, (bytes, bytearray)):
            text = text.decode("utf-8")
        text = self._remove_html_tags(text).lower()
        text = self._expand_contractions(text)
        text = self._remove_accented_characters(text)
        text = self._remove_punctuation(text)
        words = self._tokenize(text)
        indexes = self.source_vocab(ngrams(words, self.ngrams))
        return torch.as_tensor(indexes, dtype=torch.long, device=self.device), words

    def inference(self, data: tuple[Any, list[str]], *args: Any, **kwargs: Any) -> Any:
        import torch

        indexes, _ = data
        return super().inference(indexes, torch.tensor([0], device=self.device))

    def postprocess(self, data: Any) -> list[dict[Any, float]]:
        """`{label: probability}` over all classes."""
        import torch

        probabilities = torch.nn.functional.softmax(data, dim=-1).reshape(1, -1)
        return map_class_to_label(probabilities.tolist(), self.mapping)

    def get_insights(self, text_preprocess: Any, _: Any, target: Any = 0) -> list[dict[str, Any]]:
        """How much each word counted for `target`, by integrated gradients on the word embeddings.

        The model must be eager and call its embedding `embedding` (an Embedding or EmbeddingBag).
        """
        import torch

        try:
            from captum.attr import IntegratedGradients
        except ImportError:
            raise RuntimeError("explanations need the package captum, which is not installed") from None
        _, words = text_preprocess
        indexes = torch.as_tensor(self.source_vocab(words), dtype=torch.long, device=self.device)
        offsets = torch.zeros(1, dtype=torch.long, device=self.device)
        embedding = self.model.embedding

        def forward(embedded: Any) -> Any:
            """The model from its embedding on: a bag would hide which word contributed what."""
            hook = embedding.register_forward_hook(lambda *_: _pooled(embedding, embedded))
            try:
                return self.model(indexes, offsets)
            finally:
                hook.remove()

        embedded = torch.nn.functional.embedding(indexes, embedding.weight).detach().unsqueeze(0)
        absent = torch.nn.functional.embedding(torch.zeros_like(indexes), embedding.weight).detach().unsqueeze(0)
        attributions = IntegratedGradients(forward).attribute(
            embedded, baselines=absent, target=target, n_steps=EXPLANATION_STEPS
        )
        return [{"importances": self.summarize_attributions(attributions).tolist(), "words": words}]


def _pooled(embedding: Any, embedded: Any) -> Any:
    """What the layer makes of [rows, words, dimensions]: a bag reduces the words, an embedding keeps them."""
    mode = getattr(embedding, "mode", None)
    if mode is None:
        return embedded
    return embedded.amax(dim=1) if mode == "max" else getattr(embedded, mode)(dim=1)
