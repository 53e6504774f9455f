"""Streams the text of a whole Hugging Face generation batch, step by step (surface spec 9.2)."""

from __future__ import annotations

from queue import Queue
from typing import Any, Iterator

_END = object()


class TextIteratorStreamerBatch:
    """Pass it as `streamer` to `model.generate`; iterating gives, at each step, one new text for every row."""

    def __init__(
        self,
        tokenizer: Any,
        batch_size: int,
        skip_prompt: bool = False,
        timeout: float | None = None,
        **decode_kwargs: Any,
    ) -> None:
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.skip_prompt = skip_prompt
        self.timeout = timeout
        self.decode_kwargs = decode_kwargs
        self._tokens: list[list[int]] = [[] for _ in range(batch_size)]
        self._printed = [0] * batch_size
        self._prompt_next = True
        self._steps: Queue[Any] = Queue()

    def put(self, value: Any) -> None:
        """Takes the prompt (rows of tokens) first, then one new token for each row."""
        rows = value.tolist()
        rows = [row if isinstance(row, list) else [row] for row in rows]
        if len(rows) != self.batch_size:
            raise ValueError(f"the streamer was made for {self.batch_size} rows, got {len(rows)}")
        prompt, self._prompt_next = self._prompt_next, False
        if prompt and self.skip_prompt:
            return
        for row, tokens in enumerate(rows):
            self._tokens[row] += tokens
        self.on_finalized_text([self._fresh(row, final=False) for row in range(self.batch_size)])

    def end(self) -> None:
        """Flushes what was held back and ends the iteration."""
        texts = [self._fresh(row, final=True) for row in range(self.batch_size)]
        self._tokens = [[] for _ in range(self.batch_size)]
        self._printed = [0] * self.batch_size
        self._prompt_next = True
        self.on_finalized_text(texts, stream_end=True)

    def on_finalized_text(self, texts: list[str], stream_end: bool = False) -> None:
        self._steps.put(texts, timeout=self.timeout)
        if stream_end:
            self._steps.put(_END, timeout=self.timeout)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        step = self._steps.get(timeout=self.timeout)
        if step is _END:
            raise StopIteration
        return step

    def _fresh(self, row: int, final: bool) -> str:
        """Text of a row that was not given out yet; an unfinished word or character waits for its end."""
        text = self.tokenizer.decode(self._tokens[row], **self.decode_kwargs)
        end = len(text) if final or text.endswith("\n") else text.rfind(" ") + 1
        start = self._printed[row]
        if end <= start:
            return ""
        self._printed[row] = end
        return text[start:end]
