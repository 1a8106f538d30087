"""A trace: what one run was, as named arrays, with the closure of every node."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from worldline.errors import InputError
from worldline.models.identity import Identity
from worldline.runs.noise_floor import precision_at
from worldline.runs.trace_changes import refuse_changed

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.attention import AttentionCall
    from worldline.models.gradients import Rerun
    from worldline.models.loader import LoadedModel
    from worldline.models.terms import Term
    from worldline.resolution import Precision
    from worldline.tokens.tokens import Tokens

KEEP = ("terms", "kv", "q")  # what is kept unless something else is asked for
INSIDE = ("k_unplaced", "mlp_hidden")  # found in what the modules of a block return
KEEPABLE = (*KEEP, "rows", *INSIDE)


@dataclass(frozen=True)
class Inert:
    """Whether recording left the run as it was.

    Attributes:
        checked: On what that was computed: a probe text, or this very run.
        equal: Whether the logits are bitwise equal.
        calls: How many attention reads were seen.
        expected_calls: How many there are to be seen.
    """

    checked: str
    equal: bool
    calls: int
    expected_calls: int


@dataclass(frozen=True)
class Closure:
    """The worst relative error with which a node equals the sum of its terms.

    Attributes:
        worst: The error, relative to the node's norm.
        layer: The block that made the node.
        pos: The node's position.
        tolerance: What the error may be.
        over: What was added up: "sources", where the attention term is rebuilt head by head and
            source by source from recomputed patterns; or "terms", where it is taken as one: that
            adds what the model added once more, and is no closure.
        n_nodes: How many nodes were added up over sources.
        of_nodes: How many there are.
        layers: The blocks of these nodes, where they are not all.
        seed: Seed with which these blocks were drawn.
    """

    worst: float
    layer: int
    pos: int
    tolerance: float
    over: str
    n_nodes: int = 0
    of_nodes: int = 0
    layers: tuple[int, ...] | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Prediction:
    """A candidate for the next token.

    Attributes:
        token: Its text.
        id: Its id.
        logprob: Its log-probability, in nats.
    """

    token: str
    id: int
    logprob: float


@dataclass(eq=False)
class LiveBlock:
    """What attribution needs of a block beyond its arrays; only in the session that recorded it.

    Attributes:
        calls: The attention reads.
        terms: The terms of the next row, by name.
        rerun: The block, ready to run by itself; None where it cannot.
    """

    calls: list[AttentionCall]
    terms: dict[str, Term]
    rerun: Rerun | None = None


@dataclass(eq=False)
class Trace:
    """One run of one model on one text.

    Beside `resid` it has the recorded arrays under their own names. `attn_out`, `mlp_out`,
    `constants` and `other` hold, per block, the terms that add up to the next row with the skip
    connection (None where a block has no such term). `k` and `v` are [kv_head, pos, d_head] per
    block, as the attention function saw them, `q` [head, pos, d_head]; None for a block without
    softmax attention. With keep="rows" also `row_max` and `row_entropy` (nats), [head, pos], of
    every row of the pattern, recomputed from q and k. With keep="k_unplaced", [kv_head, pos,
    d_head], keys before positions are mixed in, and with "mlp_hidden", [pos, d_hidden], what the
    MLP's last matrix reads; None for a block where that could not be told.

    Attributes:
        tokens: The text.
        identity: The model.
        resid: Per row [pos, d_model]: `resid[l]` is the residual stream entering block l,
            `resid[n_layers]` enters the final norm.
        arrays: The recorded arrays by name, one per block.
        predictions: The likeliest next tokens.
        closure: How well the terms of every node add up.
        inert: Whether recording left the run as it was.
        versions: Those of the packages that made it.
        seed: The seed that was given; None for none.
        opaque_layers: Blocks that move information between columns without K/V.
        plan: None for the run as it happened, else what was changed in it (`Plan.from_json`).
        live: What attribution needs beyond the arrays; None in a trace that was loaded.
        model: The model; None in a trace that was loaded.
        unembedding: A number for every row of the output embedding as it was, [d_vocab]: no other
            array tells whether one changed. None in a trace that was loaded.
        extra: What belongs to no array, by name.

    Exactness: every array is bitwise what the model computed, or a sum of such; `closure` says
    how well the terms of every node add up.
    """

    tokens: Tokens
    identity: Identity
    resid: list[Float[Tensor, "pos d_model"]]
    arrays: dict[str, list[Tensor | None]]
    predictions: list[Prediction]
    closure: Closure
    inert: Inert
    versions: dict[str, str]
    seed: int | None = None
    opaque_layers: tuple[int, ...] = ()
    plan: dict[str, Any] | None = None
    live: list[LiveBlock] | None = None
    unembedding: Float[Tensor, " d_vocab"] | None = None
    model: LoadedModel | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __copy__(self) -> Trace:
        """The same run: of the same model, with the same arrays."""
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Trace:
        """The same run, with arrays of its own; of the same model, so that its changes tell."""
        shared = ("live", "model")
        names = [part.name for part in fields(self) if part.name not in shared]
        return replace(self, **{name: deepcopy(getattr(self, name), memo) for name in names})

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """A trace cannot be pickled: it holds its model, and code of one run.

        Raises:
            InputError: always; names what writes a trace.
        """
        raise InputError(
            "a trace cannot be pickled: wl.save_trace(trace, path) writes it, wl.load_trace(path) "
            "reads it"
        )

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self.resid) - 1

    @property
    def n_pos(self) -> int:
        """Number of tokens."""
        return self.resid[0].shape[0]

    def array(self, name: str) -> list[Tensor | None]:
        """The arrays recorded under `name`, one per block.

        Raises:
            InputError: nothing of that name was kept; says what was.
        """
        if name not in self.arrays:
            kept_names = ", ".join(["resid", *self.arrays])
            raise InputError(f'trace has no "{name}": kept were {kept_names}; see keep= of record')
        return self.arrays[name]

    @property
    def attn_out(self) -> list[Tensor | None]:
        """What attention added to the stream, per block, without biases."""
        return self.array("attn_out")

    @property
    def mlp_out(self) -> list[Tensor | None]:
        """What the non-linear part added to the stream, per block."""
        return self.array("mlp_out")

    @property
    def k(self) -> list[Tensor | None]:
        """Keys, per block."""
        return self.array("k")

    @property
    def v(self) -> list[Tensor | None]:
        """Values, per block."""
        return self.array("v")

    def pattern(
        self, layer: int, q_of: Trace | None = None, k_of: Trace | None = None
    ) -> Float[np.ndarray, "head q_pos k_pos"]:
        """The attention pattern of one layer, computed anew from the queries and keys.

        `q_of`, `k_of`: other traces of the model, as long, whose queries or keys take their place.
        A row sums to 1, or less where a sink takes part.

        Exactness: within the rounding of two equivalent runs.

        Raises:
            InputError: no such layer; it reads no attention; a trace of another length; a trace
                that was loaded, or of a run with cuts.
        """
        if not 0 <= layer < self.n_layers:
            raise InputError(f"layer {layer}: accepted are 0 to {self.n_layers - 1}")
        traces = (self, q_of or self, k_of or self)
        if any(trace.live is None for trace in traces):
            raise InputError("a pattern: accepted are traces that this session recorded, uncut")
        if lengths := {trace.n_pos for trace in traces} - {self.n_pos}:
            raise InputError(f"a trace of {min(lengths)} tokens: accepted are {self.n_pos}")
        own_calls, of_q, of_k = (
            trace.live[layer].calls for trace in traces if trace.live is not None
        )
        if not own_calls:
            raise InputError(f"layer {layer} reads no attention")
        calls = [
            replace(call, q=q.q, k=k.k) for call, q, k in zip(own_calls, of_q, of_k, strict=True)
        ]
        rows = [call.pattern_rows(0, self.n_pos)[..., : self.n_pos] for call in calls]
        return torch.cat(rows).detach().cpu().numpy()

    def precision(self, target: int | range, versus: int | None = None) -> Precision:
        """What a change that an altered run makes has to exceed to be more than rounding.

        Of the logit after the last token of `target` (less that of `versus`), in logits; or of the
        log-probability of what the text says at a range of its positions, in nats. Costs two runs.

        Exactness: the floor is measured on equivalent runs of this text, see `Precision`.

        Raises:
            InputError: a trace that was loaded without its model, or of a run with cuts.
            RefusedError: the model changed since.
        """
        if self.model is None or self.plan is not None:
            raise InputError("a precision: accepted are traces of this session, uncut")
        refuse_changed(self, to_logits=True)
        return precision_at(self.model, self.tokens.ids, target, versus)

    @property
    def norms(self) -> Float[Tensor, "row pos"]:
        """Euclidean norm of the residual stream at every node."""
        return torch.stack([row.float().norm(dim=-1) for row in self.resid])

    def nbytes(self) -> int:
        """Bytes of all recorded arrays."""
        tensors: Iterable[Tensor | None] = [
            *self.resid,
            *(t for a in self.arrays.values() for t in a),
        ]
        return sum(t.numel() * t.element_size() for t in tensors if t is not None)
