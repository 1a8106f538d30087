"""Small tokenizers of every spelling, made in memory."""

from __future__ import annotations

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

LINES = [
    "the cat sat on the mat, the dog sat on the log",
    "low lower lowest new newer newest; Paris is in France",
    "le café à Paris, naïve façade, 日本語 日本 と 🎉🎉",
] * 4
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level(bos: bool = False, nfkc: bool = False) -> PreTrainedTokenizerFast:
    """GPT-2's kind: every byte has a letter, any text can be written."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    if nfkc:
        raw.normalizer = normalizers.NFKC()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(LINES, trainer)
    if bos:
        raw.post_processor = processors.TemplateProcessing(
            single="<|end|> $A", special_tokens=[("<|end|>", 0)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<|end|>", eos_token="<|end|>")


def sentence_piece(kind: str) -> PreTrainedTokenizerFast:
    """Llama's kind: ``▁`` for a space, one put in front, bytes for unknown letters."""
    words = sorted({"▁the", "▁cat", "▁sat", "▁Paris", "Paris", "at", "th", "▁c", "▁s", "▁th"})
    letters = sorted(set("abcdefghijklmnopqrstuvwxyzPF▁,"))
    if kind == "bpe":
        vocabulary = ["<unk>", "<s>", "</s>", *BYTES, *letters]
        merges = [("t", "h"), ("a", "t"), ("▁", "th"), ("▁th", "e"), ("▁", "s"), ("▁s", "at")]
        vocabulary += ["th", "at", "▁th", "▁the", "▁s", "▁sat"]
        ids = {piece: number for number, piece in enumerate(vocabulary)}
        raw = Tokenizer(models.BPE(ids, merges, byte_fallback=True, unk_token="<unk>"))
    else:
        pieces = [(piece, 0.0) for piece in ("<unk>", "<s>", "</s>", *BYTES)]
        pieces += [(letter, -5.0) for letter in letters] + [(word, -3.0) for word in words]
        raw = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    raw.add_special_tokens([AddedToken(piece, special=True) for piece in ("<s>", "</s>")])
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


class Slow:
    """A tokenizer that gives no offsets, over one that does."""

    is_fast = False

    def __init__(self, fast: PreTrainedTokenizerFast, opaque: bool = False) -> None:
        self.fast = fast
        self.opaque = opaque
        self.chat_template = fast.chat_template
        self.all_special_ids = fast.all_special_ids

    def __call__(self, text, **options):
        return {"input_ids": self.fast(text, **options)["input_ids"]}

    def __len__(self):
        return len(self.fast)

    def convert_ids_to_tokens(self, ids):
        if self.opaque:
            return [f"#{number}" for number in ids]
        return self.fast.convert_ids_to_tokens(ids)

    def get_added_vocab(self):
        return self.fast.get_added_vocab()

    def decode(self, ids, **options):
        return self.fast.decode(ids, **options)

    def apply_chat_template(self, conversation, **options):
        return self.fast.apply_chat_template(conversation, **options)
