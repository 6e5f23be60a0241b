"""Tokenizers of the kinds that models come with, trained on a few sentences and saved as they are."""

import json

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.tiny_models import SENTENCES

_SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def sentencepiece(*, legacy: bool = True, bytes_too: bool = True) -> PreTrainedTokenizerFast:
    """BPE over words with a space before them, as of Llama 2, Mistral and Gemma: decoding takes the first space away.

    Args:
        legacy: the space before a text is put there by the normalizer, as in Llama 2, and not by Metaspace.
        bytes_too: characters that are no token are written as bytes.
    """
    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=bytes_too))
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="first")
    trained.pre_tokenizer = metaspace
    special = [*_SPECIAL, *(_BYTES if bytes_too else [])]
    trained.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=420, special_tokens=special))
    # bytes are no special tokens: they are text
    state = Tokenizer(models.BPE(
        vocab=trained.get_vocab(), merges=_merges(trained), unk_token="<unk>", fuse_unk=True, byte_fallback=bytes_too
    ))  # fmt: skip
    if legacy:
        state.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        state.pre_tokenizer = metaspace
    state.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    state.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=state, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def byte_level() -> PreTrainedTokenizerFast:
    """As of GPT-2, Llama 3 and Qwen: characters are one to four tokens, and spaces belong to the word behind them."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=330, special_tokens=_SPECIAL, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def word_pieces() -> PreTrainedTokenizerFast:
    """As of BERT: no space is a token, and pieces inside a word begin with ##."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), behavior="removed", invert=True)
    trained.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    trained.decoder = decoders.WordPiece(cleanup=False)
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        bos_token="[CLS]", eos_token="[SEP]",
    )  # fmt: skip


KINDS = {
    "llama 2": lambda: sentencepiece(),
    "mistral": lambda: sentencepiece(legacy=False),
    "metaspace without bytes": lambda: sentencepiece(legacy=False, bytes_too=False),
    "byte level": byte_level,
    "word pieces": word_pieces,
}


def _merges(trained: Tokenizer) -> list[tuple[str, str]]:
    return [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
