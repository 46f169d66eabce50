"""Answers that are dear to make and stay true until their version changes."""

import gzip
from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(slots=True)
class AnswerCache:
    """The last few big answers, compressed, by their question and version (an entity tag)."""

    capacity: int = 8
    _answers: OrderedDict[tuple[str, str], bytes] = field(default_factory=OrderedDict)

    def get(self, question: str, version: str) -> bytes | None:
        """The compressed answer, or None."""
        found = self._answers.get((question, version))
        if found is not None:
            self._answers.move_to_end((question, version))
        return found

    def put(self, question: str, version: str, body: bytes) -> bytes:
        """Keep an answer; gives back what is kept: the body compressed with gzip."""
        compressed = gzip.compress(body, compresslevel=5, mtime=0)
        for key in [k for k in self._answers if k[0] == question]:  # older versions are never asked for again
            del self._answers[key]
        self._answers[(question, version)] = compressed
        while len(self._answers) > self.capacity:
            self._answers.popitem(last=False)
        return compressed
