"""Tiny random models of every causal type transformers knows, built in memory.

They exist to try the engine on each type: small enough to run in milliseconds, with weights large
enough that every part of the computation matters to the logits. `kind` says how a type mixes its
tokens, mostly by watching its tiny model run.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers import (
    CONFIG_MAPPING,
    AutoModel,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from worldline.models.tiny_configs import FIRST_ORDINARY_ID, NEEDED, OVERRIDES, VOCAB, shrink

__all__ = [
    "FIRST_ORDINARY_ID",
    "KINDS",
    "NOTES",
    "UNRUNNABLE",
    "causal_types",
    "forward_kwargs",
    "kind",
    "reason",
    "tiny_config",
    "tiny_ids",
    "tiny_model",
]

KINDS = ("softmax decoder", "hybrid", "recurrent", "encoder", "other")

_DRAFT = (
    "a draft model that ignores input_ids and reads the keys and values of another model, all of "
    "its layers sharing them"
)
#: Types of which no text-only forward can be run, with why.
UNRUNNABLE = {"gemma4_assistant": _DRAFT, "gemma4_unified_assistant": _DRAFT}

#: Types that watching would misname, with what their source shows.
_OTHER = {
    "blt": "bytes enter as hashes of byte n-grams, are pooled into patches of varying length and "
    "mixed there; its softmaxes run over patches and from patches to bytes as well as over bytes",
    "deepseek_v4": "its keys are those of a window and, beyond it, of blocks of tokens compressed "
    "into one by a gated sum; the softmax does not run over the tokens",
    "prophetnet": "the logits come from a predicting stream, whose softmax runs over twice the "
    "tokens: the keys of the main stream and its own",
    "reformer": "attention runs within chunks sorted by a hash; which keys a token sees depends on "
    "the tokens after it, so that it is not even causal",
}

_INDEXED = "an indexer, from the hidden states, picks the keys that the mask lets through"
_SINK = "each head has a sink, a learned logit in the softmax's denominator"
_SHARED = "the last layers have no keys and values of their own but take an earlier layer's"
_LOOKS_ON = "the wrapper of a multimodal model; text alone runs through its language model"
#: What is uncommon about a type though it is of a common kind.
NOTES = {
    "axk2": _INDEXED,
    "cpmant": "a learned prompt goes before the input, and the logits leave it out",
    "deepseek_v32": _INDEXED,
    "diffllama": "each layer calls attention twice, with the same weights on the two halves of the "
    "values, then subtracts one half of the heads from the other",
    "doge": "a value-dependent mask is added to the scores and keeps the top few keys",
    "dory": "the residual moves towards each part's output; the middle layers run over and over",
    "dots3_note": f"{_INDEXED}; windowed layers have other numbers and sizes of heads; {_LOOKS_ON}",
    "dots3_note_text": f"{_INDEXED}; windowed layers have other numbers and sizes of heads",
    "falcon_h1": "attention and a state-space mixer stand side by side in each layer",
    "flint": _SINK,
    "fuyu": _LOOKS_ON,
    "gemma3": _LOOKS_ON,
    "gemma3n": f"several residual streams (AltUp); {_SHARED}; {_LOOKS_ON}",
    "gemma3n_text": f"several residual streams (AltUp); {_SHARED}",
    "gemma4": f"{_SHARED}; full layers have larger heads; {_LOOKS_ON}",
    "gemma4_text": f"{_SHARED}; full layers have larger heads",
    "gemma4_unified": f"{_SHARED}; in full layers the values are the keys; {_LOOKS_ON}",
    "gemma4_unified_text": f"{_SHARED}; in full layers the values are the keys",
    "git": _LOOKS_ON,
    "glm_moe_dsa": f"{_INDEXED}; some layers reuse an earlier layer's picks",
    "got_ocr2": _LOOKS_ON,
    "gpt_oss": _SINK,
    "granite_swa": f"{_SINK}, applied to the output as the sigmoid of the log-sum-exp less it",
    "granitemoe_swa": f"{_SINK}, applied to the output as the sigmoid of the log-sum-exp less it",
    "hrm_text": "two stacks of layers run over and over, each layer several times in a forward",
    "hy_v4": f"several residual streams; {_SINK}; {_INDEXED}; some layers reuse earlier picks",
    "inkling2_loop_text": "short convolutions in every layer; the residual is an attention over "
    "depth; the middle layers run over and over",
    "inkling2_text": "short convolutions in every layer; the residual is an attention over depth",
    "inkling_text": "short convolutions in every layer, beside softmax attention",
    "laguna": "layers differ in their number of heads",
    "llama4": _LOOKS_ON,
    "longcat_flash": "each block holds two attentions",
    "mimo_v2_flash": f"in windowed layers {_SINK}; values are smaller than keys",
    "minimax_m3_vl_text": f"{_INDEXED}, a block at a time",
    "mllama": "layers of cross-attention to an image are skipped when there is none",
    "moss_transcribe_diarize": _LOOKS_ON,
    "musicgen": "its tokens are codes of audio, several streams of them unless configured with one",
    "musicgen_melody": "its tokens are codes of audio, as with musicgen",
    "phi4_multimodal": _LOOKS_ON,
    "qwen4_exp": f"several residual streams; embeddings of hashed n-grams; {_INDEXED}",
    "qwen4_exp_text": f"several residual streams; embeddings of hashed n-grams; {_INDEXED}",
    "xlm": "causal only where the configuration says so (causal=True), as here",
    "xlnet": 'causal only where the configuration says so (attn_type="uni"), as here',
    "zamba": "one attention block, its weights shared, is called from several layers",
    "zamba2": "one attention block, its weights shared, is called from several layers",
    "zaya": "convolutions over the tokens make the queries, keys and values of every layer",
}

#: Parameters of recurrent mixers that are no weights: decay, time step, skip, token shift.
_RECURRENCE = re.compile(r"A_log|D|dt_bias|dt_proj_bias|time_\w+|recurrent_param")


def causal_types() -> list[str]:
    """Every model type that `AutoModelForCausalLM` can build, sorted."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_config(model_type: str) -> PreTrainedConfig:
    """A small configuration of this type, with the type's mechanisms at work.

    Four heads over two of keys and values where heads are grouped, windows of eight tokens, two
    experts out of four, and a layer of each sort the type has.
    """
    cls = CONFIG_MAPPING[model_type]
    with _quiet():
        return cls(**shrink(_default(cls), OVERRIDES.get(model_type)))


def tiny_model(
    model_type: str,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    attn_implementation: str | None = None,
) -> PreTrainedModel:
    """A tiny model of this type in eval mode, its weights drawn from `seed` alone.

    Matrices have a spread of 0.8 over the root of their fan-in, so that no layer is close to linear
    or to zero; gains and biases are moved from where they start; the parameters of state-space
    models keep their starting values. The caller's random state is left as it was.
    """
    config = tiny_config(model_type)
    kwargs: dict[str, Any] = {"dtype": dtype}
    if attn_implementation is not None:
        kwargs["attn_implementation"] = attn_implementation
    with _quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _build(config, **kwargs)
    _redraw(model, torch.Generator().manual_seed(seed))
    return model.eval()


def tiny_ids(length: int, *, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """Token ids for a tiny model, none of them special."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(FIRST_ORDINARY_ID, VOCAB, (batch, length), generator=draw)


def forward_kwargs(model: PreTrainedModel) -> dict[str, Any]:
    """What a text-only forward of this model needs beside `input_ids`: nothing but no cache."""
    del model  # of the types there are, none needs more
    return {"use_cache": False}


def kind(model_type: str) -> str:
    """How this type mixes its tokens, one of `KINDS`; `reason` says why.

    "softmax decoder": by causal softmax attention over the tokens alone; "hybrid": in part by
    recurrence or convolution; "recurrent": not by softmax attention at all; "encoder": not
    causally, even as a decoder; "other": in a way that none of these covers.
    """
    return _judge(model_type)[0]


def reason(model_type: str) -> str:
    """Why this type is of its `kind`, and what is uncommon about it."""
    why, note = _judge(model_type)[1], NOTES.get(model_type)
    return f"{why}; {note}" if note else why


@functools.cache
def _judge(model_type: str) -> tuple[str, str]:
    if model_type in UNRUNNABLE or model_type in _OTHER:
        return "other", (UNRUNNABLE | _OTHER)[model_type]
    model = tiny_model(model_type, attn_implementation="eager")
    ids = tiny_ids(_Watch.LENGTH).clamp(min=FIRST_ORDINARY_ID + 1)  # the lowest is for the change
    first, last = ids.clone(), ids.clone()
    first[0, 0] = last[0, -1] = FIRST_ORDINARY_ID
    plain, watch = _logits(model, ids)
    # Batching of experts reorders sums, hence the slack.
    if (_logits(model, last)[0] - plain)[:-1].abs().max() > 1e-5:
        return "encoder", "changing the last token changes the logits before it"
    if not watch.softmaxes:
        return "recurrent", "it calls no softmax over the tokens"
    # With every token attending to itself alone, what still flows flows by other means.
    alone = [_logits(model, tokens, alone=True)[0][1:] for tokens in (ids, first)]
    if (alone[0] - alone[1]).abs().max() > 1e-5:
        return "hybrid", "with softmax attention cut, a token still changes the logits after it"
    return "softmax decoder", "with softmax attention cut, no token changes the logits of another"


class _Watch(TorchFunctionMode):
    """Counts the softmaxes over tokens and, if asked, lets each token see only itself."""

    LENGTH = 23  # no other axis of a tiny model has this length

    def __init__(self, alone: bool) -> None:
        super().__init__()
        self.alone = alone
        self.softmaxes = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name == "softmax" and self._is_attention(out):
            self.softmaxes += 1
            if self.alone:
                out = torch.eye(*out.shape[-2:], dtype=out.dtype).expand_as(out)
        elif name == "logsumexp" and self._is_attention(args[0]) and self.alone:
            # The denominator, from which a sink may be made: that of a single key.
            out = args[0].diagonal(dim1=-2, dim2=-1)
        return out

    def _is_attention(self, scores: torch.Tensor) -> bool:
        # A sink may add a column.
        shape = scores.shape[-2:]
        return shape in ((self.LENGTH, self.LENGTH), (self.LENGTH, self.LENGTH + 1))


def _logits(
    model: PreTrainedModel, ids: torch.Tensor, *, alone: bool = False
) -> tuple[torch.Tensor, _Watch]:
    with torch.no_grad(), _Watch(alone) as watch:
        return model(input_ids=ids, **forward_kwargs(model)).logits[0], watch


def _default(cls: type[PreTrainedConfig]) -> PreTrainedConfig:
    """An instance to read names and default values from."""
    try:
        return cls()
    except StrictDataclassError:
        return cls(**NEEDED[cls.model_type])


def _build(config: PreTrainedConfig, **kwargs: Any) -> PreTrainedModel:
    """The causal model of this configuration, or of the part of it that the model class reads."""
    config_type: Any = type(config)
    cls: Any = AutoModelForCausalLM._model_mapping[config_type]
    if not isinstance(config, cls.config_class):
        parts = [getattr(config, name) for name in config_type.sub_configs]
        config = next((part for part in parts if isinstance(part, cls.config_class)), config)
    with _blind(cls):
        return cls._from_config(config, **kwargs)


@contextlib.contextmanager
def _blind(cls: type[PreTrainedModel]) -> Iterator[None]:
    """Leave out the one vision tower that needs packages of its own (timm and Pillow).

    It is gemma3n's, and no text-only forward enters it.
    """
    module: Any = importlib.import_module(cls.__module__)
    if not module.__name__.endswith("modeling_gemma3n"):
        yield
        return
    auto = module.AutoModel
    module.AutoModel = _Blind
    try:
        yield
    finally:
        module.AutoModel = auto


class _Blind:
    """Stands in for `AutoModel` while gemma3n is built."""

    @staticmethod
    def from_config(config: PreTrainedConfig, **kwargs: Any) -> nn.Module:
        if "vision" in config.model_type:
            return nn.Identity()
        return AutoModel.from_config(config, **kwargs)


def _redraw(model: nn.Module, draw: torch.Generator) -> None:
    """Give every parameter of a usual sort a random value that matters."""
    visited_ids: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in visited_ids or not parameter.is_floating_point():
                continue
            visited_ids.add(id(parameter))
            noise = torch.randn(parameter.shape, generator=draw)
            with torch.no_grad():
                parameter.copy_(_redrawn(module, name, parameter.float(), noise))


def _redrawn(
    module: nn.Module, name: str, value: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    if _RECURRENCE.fullmatch(name):
        return value  # with other decays and time steps the state may vanish or explode
    if isinstance(module, nn.Embedding):
        return 0.5 * noise
    if "sink" in name:
        return noise
    if "bias" in name:
        return value + 0.1 * noise
    if value.ndim < 2:
        return value + 0.2 * noise
    return noise * 0.8 / math.sqrt(_fan_in(module, value))


def _fan_in(module: nn.Module, value: torch.Tensor) -> float:
    if type(module).__name__ == "Conv1D":  # GPT-2's, which is a transposed linear layer
        return float(value.shape[0])
    if value.ndim == 2 or isinstance(module, nn.modules.conv._ConvNd):
        return float(math.prod(value.shape[1:]))
    # Experts, and heads kept apart, come in any order of axes: the two largest stand for both.
    return math.sqrt(math.prod(sorted(value.shape)[-2:]))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' log: it warns of defaults that a tiny configuration contradicts."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
