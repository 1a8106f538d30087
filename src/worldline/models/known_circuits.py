"""Transformers with weights set by hand, whose circuits are known: ground truth for attribution.

All are GPT-2 in float64 without MLPs and biases. The stream at a node is x = (y, -y): its mean is
0, so that LayerNorm only divides by |y| / sqrt(n_dims of y). y is made of slots; a token or a
position is one-hot in its slot, and every head writes into a slot of its own. |y|^2 is thus known
by counting what was written, and each norm's gain undoes its division: the norms are the identity.
A constant `PAD` in y makes |y| large: what does move it (a cut, a derivative) is of relative size
1e-6 for each unit written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import transformers as hf
from torch import Tensor

from worldline.errors import InputError

VOCAB, MOST_POSITIONS = 12, 24  # the checks' probe takes 23
PAD = 1000.0
SATURATED = 1000.0  # a score so far above the others that the softmax leaves exact zeros
LOGIT = 10.0  # by how much one unit in the slot that is read out raises its token's logit
MATCHED = 0.9  # what the induction head's pattern puts on its match, of 1
OPPOSITE = 3.0  # what each of two cancelling heads writes

TOKEN, POSITION, BEFORE, OUT, WASTE = "token", "position", "before", "out", "waste"


class CircuitEdge(NamedTuple):
    """A K/V edge that the target needs: from (layer, src) into (layer + 1, dst) by one head.

    Attributes:
        layer: The block that reads.
        head: The head that reads.
        src: The position that is read.
        dst: The position that reads.
    """

    layer: int
    head: int
    src: int
    dst: int


@dataclass(frozen=True, eq=False)
class Circuit:
    """A model, a text, a question about its last logits, and the edges that make the answer.

    Attributes:
        module: The model, with weights set by hand.
        tokenizer: Its tokenizer.
        ids: The text.
        corrupted: A text of equal length in which the token that is read out is another one.
        target: The id of the answer.
        versus: The id of the other token.
        value: The logit of `target` minus that of `versus`.
        edges: All those whose cut (`zero`) changes the target, in the order in which they are read,
            beyond the 1e-6 that norms let through.
        flows: Those that carry what is written, and how much of the target, all patterns held; the
            others only make patterns.
        idle: Heads (layer, head) that attend and write as the others do, but nothing reads what
            they write.
    """

    module: hf.GPT2LMHeadModel
    tokenizer: NamesIds
    ids: tuple[int, ...]
    corrupted: tuple[int, ...]
    target: int
    versus: int
    value: float
    edges: tuple[CircuitEdge, ...]
    flows: Mapping[CircuitEdge, float]
    idle: tuple[tuple[int, int], ...] = ()

    @property
    def last(self) -> int:
        """The position whose logits are asked about."""
        return len(self.ids) - 1


class Stream:
    """Where each slot lies in y, and the maps between slots and the stream (y, -y)."""

    def __init__(self, slots: Sequence[str], n_heads: int):
        sizes = [MOST_POSITIONS if name == POSITION else VOCAB for name in slots]
        ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
        self.slots = {
            name: slice(end - size, end) for name, size, end in zip(slots, sizes, ends, strict=True)
        }
        self.pad = ends[-1]
        self.n_dims = n_heads * math.ceil((ends[-1] + 1) / n_heads)
        self.d_model = 2 * self.n_dims
        self.d_head = self.d_model // n_heads

    def write(self, slot: str, times: float = 1.0) -> Tensor:
        """[size of the slot, d_model]: one-hot numbers into the stream."""
        size = self.slots[slot].stop - self.slots[slot].start
        y = torch.zeros(size, self.n_dims, dtype=torch.float64)
        y[:, self.slots[slot]] = times * torch.eye(size, dtype=torch.float64)
        return torch.cat([y, -y], 1)

    def read(self, slot: str, times: float = 1.0) -> Tensor:
        """[d_model, size of the slot]: back from the stream, from both halves."""
        return self.write(slot, times / 2).T


class NamesIds:
    """The least that is asked of a tokenizer: id 37 is the token "t37 "."""

    all_special_ids = ()
    is_fast = False
    chat_template = None

    def __call__(self, text, **_options):
        """The ids of "t1 t37"."""
        for word in text.split():
            number = word.removeprefix("t")
            if not number.isdecimal() or number == word or int(number) >= len(self):
                raise InputError(f'word "{word}": this model knows t0 to t{len(self) - 1} only')
        return {"input_ids": [int(word.removeprefix("t")) for word in text.split()]}

    def __len__(self):
        return 112

    def convert_ids_to_tokens(self, ids):
        """Each id's name."""
        return [f"t{number} " for number in ids]

    def get_added_vocab(self):
        """None are added."""
        return {}

    def decode(self, ids, **_options):
        """The names, one after the other."""
        return "".join(self.convert_ids_to_tokens(list(ids)))

    def apply_chat_template(self, conversation, **_options):
        """There is none."""
        raise NotImplementedError


Look = Callable[[Stream], tuple[Tensor, Tensor]]


class Head(NamedTuple):
    """What a head looks at, and the slot that it copies into another, so many times."""

    look: Look
    source: str
    into: str
    times: float = 1.0


def at_one_before(stream: Stream) -> tuple[Tensor, Tensor]:
    """Q and K: all on the position before; position 0 sees only itself."""
    position = stream.read(POSITION)
    return SATURATED * position, position.roll(1, dims=1)


def at_first(stream: Stream) -> tuple[Tensor, Tensor]:
    """Q and K: all on position 0."""
    position = stream.read(POSITION)
    anywhere, first = torch.zeros_like(position), torch.zeros_like(position)
    anywhere[:, 0], first[:, 0] = SATURATED * position.sum(1), position[:, 0]
    return anywhere, first


def after_the_same(score: float) -> Look:
    """Q and K: `score` where the token before is this one, 0 elsewhere."""
    return lambda stream: (stream.read(TOKEN, score), stream.read(BEFORE))


def hand_built(
    heads: Mapping[tuple[int, int], Head],
    squares: Sequence[int | float],
    read_out: str = OUT,
) -> hf.GPT2LMHeadModel:
    """A GPT-2 of these heads (layer, head); logits are LOGIT times the slot `read_out`.

    `squares` is |y|^2 less PAD^2 in each row, wherever that row's norm matters.
    """
    n_layers, n_heads = (1 + max(place[n] for place in heads) for n in (0, 1))
    used = {slot: None for head in heads.values() for slot in (head.source, head.into)}
    stream = Stream([*dict.fromkeys([TOKEN, POSITION, *used])], n_heads)
    config = hf.GPT2Config(
        vocab_size=VOCAB,
        n_positions=MOST_POSITIONS,
        n_embd=stream.d_model,
        n_layer=n_layers,
        n_head=n_heads,
        n_inner=2,
        layer_norm_epsilon=0.0,
        scale_attn_weights=False,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    module = hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    module = module.double().eval()
    body: Any = module.transformer
    gains = [math.sqrt((PAD**2 + square) / stream.n_dims) for square in squares]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        body.wte.weight.copy_(stream.write(TOKEN))
        body.wte.weight[:, stream.pad] = PAD
        body.wte.weight[:, stream.n_dims + stream.pad] = -PAD
        body.wpe.weight.copy_(stream.write(POSITION))
        for norm, gain in zip([*(block.ln_1 for block in body.h), body.ln_f], gains, strict=True):
            norm.weight.fill_(gain)
        for (layer, number), head in heads.items():
            _set(body.h[layer].attn, number, head, stream)
        module.lm_head.weight.copy_(stream.read(read_out, LOGIT).T)
    return module


def _set(attention: Any, number: int, head: Head, stream: Stream) -> None:
    mine = slice(number * stream.d_head, (number + 1) * stream.d_head)
    Q, K = head.look(stream)
    for at, W in enumerate((Q, K, stream.read(head.source))):
        into = attention.c_attn.weight[:, at * stream.d_model : (at + 1) * stream.d_model]
        into[:, mine][:, : W.shape[1]] = W
    W_O = stream.write(head.into, head.times)
    attention.c_proj.weight[mine][: len(W_O)] = W_O


def induction() -> Circuit:
    """On `C A B D E A` the model says B.

    Layer 0: head 1 notes the token before. Layer 1: head 0 looks for the position whose token
    before is this one (MATCHED there, the rest of 1 spread evenly) and copies its token. The other
    heads copy the first token to where nothing reads it. `versus` is a token that is not there.
    """
    a, b, absent = 1, 2, 11
    ids = (7, a, b, 8, 9, a)
    n_unmatched = len(ids) - 1
    score = math.log(MATCHED / (1 - MATCHED) * n_unmatched)
    heads = {
        (0, 0): Head(at_first, TOKEN, WASTE + "0"),
        (0, 1): Head(at_one_before, TOKEN, BEFORE),
        (1, 0): Head(after_the_same(score), TOKEN, OUT),
        (1, 1): Head(at_first, TOKEN, WASTE + "1"),
    }
    apart = (1 - MATCHED) / n_unmatched  # A stands twice, C, D and E once
    match_square = MATCHED**2 + (2 * apart) ** 2 + 3 * apart**2
    copy_edge = CircuitEdge(1, 0, src=2, dst=5)
    return Circuit(
        module=hand_built(heads, squares=(2, 4, 5 + match_square)),
        tokenizer=NamesIds(),
        ids=ids,
        corrupted=(7, a, 3, 8, 9, a),
        target=b,
        versus=absent,
        value=LOGIT * MATCHED,
        edges=(CircuitEdge(0, 1, src=1, dst=2), copy_edge),
        flows={copy_edge: LOGIT * MATCHED},
        idle=((0, 0), (1, 1)),
    )


def chain(layers: Sequence[int], n_layers: int) -> Circuit:
    """The last token says the one that stands `len(layers)` positions before it.

    In each of `layers` one head, 0 and 1 by turns, copies what the position before holds in one
    slot into the next slot; the last slot is read out. The other head, and head 0 of the other
    layers, copies the first token to where nothing reads it. `versus` is the last token.
    """
    heads, squares, source, edges = {}, [2], 2, []
    for layer in range(n_layers):
        hop = len(edges)
        if layer in layers:
            slots = f"{OUT}{hop}" if hop else TOKEN, f"{OUT}{hop + 1}"
            heads[layer, hop % 2] = Head(at_one_before, *slots)
            edges.append(CircuitEdge(layer, hop % 2, source + hop, source + hop + 1))
        idle_head = 1 - hop % 2 if layer in layers else 0
        heads[layer, idle_head] = Head(at_first, TOKEN, f"{WASTE}{layer}")
        squares.append(squares[-1] + 1 + (layer in layers))
    ids = tuple(range(1, source + len(edges) + 2))
    return Circuit(
        module=hand_built(heads, squares, read_out=f"{OUT}{len(edges)}"),
        tokenizer=NamesIds(),
        ids=ids,
        corrupted=(*ids[:source], VOCAB - 1, *ids[source + 1 :]),
        target=ids[source],
        versus=ids[-1],
        value=LOGIT,
        edges=tuple(edges),
        flows=dict.fromkeys(edges, LOGIT),
        idle=tuple(place for place, head in heads.items() if head.look is at_first),
    )


def cancelling(layers: tuple[int, int] = (0, 0)) -> Circuit:
    """Two heads copy the token before, one OPPOSITE times and one -OPPOSITE times; a third, once.

    The text is `B C D B E`: the pair reads the second B, the third head the first one, so that the
    logit of B is LOGIT. The pair are heads 0 and 1, in `layers`, both 0 or 0 and 1; the third is
    head 2 of layer 0. `versus` is a token that is not there.
    """
    b, absent = 1, 11
    ids = (b, 7, 8, b, 9)
    src, last = 3, 4
    heads = {
        (layers[0], 0): Head(at_one_before, TOKEN, OUT, OPPOSITE),
        (layers[1], 1): Head(at_one_before, TOKEN, OUT, -OPPOSITE),
        (0, 2): Head(at_first, TOKEN, OUT),
    }
    between = 2 + OPPOSITE**2 + 1  # at the source: what head 0 brought it is another token
    edges = (
        CircuitEdge(layers[0], 0, src, last),
        CircuitEdge(layers[1], 1, src, last),
        CircuitEdge(0, 2, 0, last),
    )
    return Circuit(
        module=hand_built(heads, squares=(2, 3) if layers == (0, 0) else (2, between, 3)),
        tokenizer=NamesIds(),
        ids=ids,
        corrupted=(4, *ids[1:]),
        target=b,
        versus=absent,
        value=LOGIT,
        edges=edges,
        flows=dict(zip(edges, (LOGIT * OPPOSITE, -LOGIT * OPPOSITE, LOGIT), strict=True)),
    )


def known_circuits() -> dict[str, Circuit]:
    """The circuits by name: induction, two chains of hops, two pairs of heads that cancel.

    Returns:
        The circuits: each is a model with weights set by hand, a text, a question, and the edges
        that answer it.

    >>> known_circuits()["induction"].edges[-1]
    CircuitEdge(layer=1, head=0, src=2, dst=5)
    """
    return {
        "induction": induction(),
        "chain of 2": chain((0, 1), 2),
        "chain of 3": chain((0, 1, 3), 4),
        "cancelling in a layer": cancelling(),
        "cancelling across layers": cancelling((0, 1)),
    }
