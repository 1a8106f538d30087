"""Which earlier message, by whom, a local reply drew on: its reads of them attributed, or cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import worldline as wl
from worldline.errors import InputError
from worldline.room.event_records import FlowNumbers
from worldline.room.providers.chat_model import Model, Part, Usage
from worldline.room.providers.local_model import Local, LocalUsage
from worldline.room.reply_flow import by_speaker
from worldline.tokens.tokens import Tokens, extend_tokens
from worldline.tokens.units import Grouping

if TYPE_CHECKING:
    from worldline import LoadedModel
    from worldline.room.providers.chat_prompt import Reading

SCHEMA = "worldline.room_flow/1"
HOWS = ("mask", "zero")
EXACTNESS = (
    "lost_nats: first-order estimate, one backward pass; attention: mean share of the reply's "
    "reads over layers and heads; cut_nats: exact, one run a message; these are of direct reads by "
    "the reply alone; whole_nats: exact, one run a message, of every read of it, so that what "
    "messages in between passed on is whole_nats less cut_nats"
)
NO_LOCAL = "the model ran elsewhere: what it read inside cannot be seen, so no flow is given"
NOT_ASKED = "the reply was written beforehand: no model read anything"


@dataclass(frozen=True, slots=True)
class MessageRead:
    """What a reply owes to one earlier message, by reading its tokens directly.

    `lost_nats` is what the reply's log-probability would lose without those reads, to first order,
    `cut_nats` the same by an exact run, None where none was asked for; negative where the message
    spoke against the reply. `whole_nats` is the loss where nobody after the message reads it,
    neither reply nor messages in between. `attention` is the share of the reply's attention that
    went there. `lost_by_layer` and `attention_by_layer` are per layer, `by_token` is the loss per
    token of the reply.
    """

    event: int | None
    speaker: str
    n_tokens: int
    lost_nats: float
    attention: float
    lost_by_layer: tuple[float, ...]
    attention_by_layer: tuple[float, ...]
    by_token: tuple[float, ...]
    cut_nats: float | None = None
    whole_nats: float | None = None


@dataclass(frozen=True, slots=True)
class ReplyFlow:
    """What one reply read: a row per message, and what went to itself and to the template's words.

    `unplaced` are events whose place in the text is not certain, and of which nothing is said.
    `cut_precision`, where messages were cut, says what `cut_nats` and `whole_nats` have to exceed
    to be more than rounding: its `floor` and its `resolution`.
    """

    how: str
    logprob_nats: float
    pieces: tuple[str, ...]
    messages: tuple[MessageRead, ...]
    template_attention: float
    own_attention: float
    unplaced: tuple[int, ...]
    cut_precision: dict[str, Any] | None = None

    def by_speaker(self) -> dict[str, dict[str, float]]:
        """Loss and attention summed over each speaker's messages; "" is the room's own text."""
        return by_speaker(one_json(message) for message in self.messages)

    def json(self) -> dict[str, Any]:
        """As plain numbers and words."""
        return {
            "schema": SCHEMA,
            "how": self.how,
            "exactness": EXACTNESS,
            "logprob_nats": self.logprob_nats,
            "pieces": list(self.pieces),
            "messages": [one_json(message) for message in self.messages],
            "speakers": self.by_speaker(),
            "template_attention": self.template_attention,
            "own_attention": self.own_attention,
            "unplaced": list(self.unplaced),
            "cut_precision": self.cut_precision,
        }


def flow_of_reply(
    model: LoadedModel,
    usage: LocalUsage,
    *,
    how: str = "mask",
    exact: bool = False,
    progress: Any = None,
) -> ReplyFlow:
    """What `usage`, a reply of `model`, drew on: a recorded run and a pass through the reply.

    `how` says what the estimate is matched to: "mask" lets the rest of a row renormalise, "zero"
    takes the weighted value away. With `exact` every message's reads are also cut: those by the
    reply, and those by everything after it, one run each.

    Exactness: as `EXACTNESS` says.

    Raises:
        InputError: a reply without tokens, or an unknown `how`.
        RefusedError: the model failed a check, so that no number is given.
    """
    if how not in HOWS:
        raise InputError(f"how={how!r}: accepted are {', '.join(HOWS)}")
    if usage.reading is None or not usage.reply_ids:
        raise InputError("a reply of no tokens: accepted are replies of a local model, with some")
    reading = usage.reading
    tokens = extend_tokens(model.tokenizer, reading.tokens, usage.reply_ids)
    span = range(len(reading.tokens), len(tokens))
    grouping, group_of_part = _groups(tokens, reading, span.start)
    trace = wl.record(model, tokens, keep=())
    flow = wl.attribute(trace, "gradient", target=span, how=how, groups=[grouping], top=0)
    reply_flow = _flow(flow, reading, tokens, grouping, group_of_part, how)
    if not exact:
        return reply_flow
    precision = trace.precision(span).json()
    reply_flow = replace(reply_flow, cut_precision=precision)
    return _with_cuts(model, reply_flow, tokens, span, group_of_part, progress)


def reply_flow_json(model: Model, usage: Usage, exact: bool = False) -> FlowNumbers | str:
    """The flow of a reply as JSON, or why there is none: what a `Room` asks for after each reply.

    Raises: as `flow_of_reply`.
    """
    if isinstance(model, Local) and isinstance(usage, LocalUsage):
        return _short(flow_of_reply(model.model, usage, exact=exact).json())
    return why_no_flow(usage, model.scripted) or NO_LOCAL


def why_no_flow(usage: Usage, is_scripted: bool = False) -> str | None:
    """Why nothing can be said of a reply's flow; None where it can be asked for."""
    if isinstance(usage, LocalUsage):
        return None
    return NOT_ASKED if is_scripted else NO_LOCAL


def one_json(message: MessageRead) -> dict[str, Any]:
    """A message's row as plain numbers."""
    return {name: _plain(getattr(message, name)) for name in MessageRead.__dataclass_fields__}


def _short(value: Any) -> Any:
    """Numbers with seven digits, which is all that they are good for."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    return [_short(element) for element in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _groups(
    tokens: Tokens, reading: Reading, reply: int
) -> tuple[Grouping, dict[int, tuple[int, Part]]]:
    """Tokens in runs: each part, the template's words around them, the reply.

    Returns the grouping and, by group, which part it is and its number of tokens.
    """
    owner = [_part_at(tokens, at, reading.parts) if at < reply else -2 for at in range(len(tokens))]
    group_of: list[int] = []
    parts: dict[int, tuple[int, Part]] = {}
    for at, part in enumerate(owner):
        fresh = at == 0 or part != owner[at - 1]
        group_of.append((group_of[-1] if group_of else -1) + fresh)
        if part >= 0:
            n_tokens = parts.get(group_of[-1], (0, reading.parts[part]))[0]
            parts[group_of[-1]] = (n_tokens + 1, reading.parts[part])
    n_groups = group_of[-1] + 1
    return Grouping("messages", tuple(group_of), ((0, 0),) * n_groups, (None,) * n_groups), parts


def _part_at(tokens: Tokens, at: int, parts: Sequence[Part]) -> int:
    """The part in which the first letter of a token lies; -1 for the template's own words."""
    low, high = tokens.char_spans[at]
    blanks = len(tokens.text[low:high]) - len(tokens.text[low:high].lstrip())
    first = low + blanks if low + blanks < high else low
    part_indices = (n for n, part in enumerate(parts) if part.start <= first < part.end)
    return next(part_indices, -1) if low < high else -1


def _flow(
    flow: wl.Flow,
    reading: Reading,
    tokens: Tokens,
    grouping: Grouping,
    parts: Mapping[int, tuple[int, Part]],
    how: str,
) -> ReplyFlow:
    (joint,) = flow.joint
    lost_nats, attention = joint.losses.sum(1), joint.attention.sum(1)  # [layer, group]
    attention = attention / joint.attention.shape[1]
    reads = attention.sum(1) > 0  # a layer may have no attention
    rows = tuple(
        MessageRead(
            event=part.event,
            speaker=part.speaker,
            n_tokens=n_tokens,
            lost_nats=float(lost_nats[:, group].sum()),
            attention=float(attention[reads, group].mean()),
            lost_by_layer=tuple(lost_nats[:, group].tolist()),
            attention_by_layer=tuple(attention[:, group].tolist()),
            by_token=tuple(joint.by_row[:, group].tolist()),
        )
        for group, (n_tokens, part) in sorted(parts.items())
    )
    reply_group = grouping.n_groups - 1
    template_groups = [g for g in range(grouping.n_groups) if g not in parts and g != reply_group]
    assert flow.target_value is not None
    return ReplyFlow(
        how=how,
        logprob_nats=flow.target_value,
        pieces=tokens.pieces[len(reading.tokens) :],
        messages=rows,
        template_attention=float(attention[reads][:, template_groups].sum(1).mean()),
        own_attention=float(attention[reads, reply_group].mean()),
        unplaced=tuple(p.event for p in reading.unplaced_parts if p.event is not None),
    )


def _with_cuts(
    model: LoadedModel,
    flow: ReplyFlow,
    tokens: Tokens,
    span: range,
    parts: Mapping[int, tuple[int, Part]],
    progress: Any,
) -> ReplyFlow:
    """The same with every message's reads cut, one run each."""
    rows = tuple(range(span.start - 1, span.stop - 1))
    plain = logprob(model, wl.Plan(tokens.ids), span)
    message_positions = _positions(
        tokens, [part for _, (_, part) in sorted(parts.items())], span.start
    )
    cut_messages = []

    def loss_of_cut(src: tuple[int, ...], dst: tuple[int, ...]) -> float:
        edit = wl.EdgeCut(flow.how, src=src, dst=dst)
        return plain - logprob(model, wl.Plan(tokens.ids, frozenset([edit])), span)

    for n, (message, src) in enumerate(zip(flow.messages, message_positions, strict=True)):
        if progress is not None:
            progress(f"cutting message {n + 1} of {len(message_positions)}")
        later = tuple(range(src[-1] + 1, len(tokens)))
        cut_messages.append(
            replace(message, cut_nats=loss_of_cut(src, rows), whole_nats=loss_of_cut(src, later))
        )
    return replace(flow, messages=tuple(cut_messages))


def _positions(tokens: Tokens, parts: Sequence[Part], reply: int) -> list[tuple[int, ...]]:
    owner = [_part_at(tokens, at, parts) for at in range(reply)]
    return [tuple(at for at in range(reply) if owner[at] == n) for n in range(len(parts))]


def logprob(model: LoadedModel, plan: wl.Plan, span: range) -> float:
    """Log-probability of what stands at `span`, each token given all before it, under a plan.

    Exactness: exact up to the rounding of two equivalent runs. Units: nats.
    """
    logits = wl.execute(model, plan).logits[0, span.start - 1 : span.stop - 1].double()
    chances = logits.log_softmax(-1).cpu()
    target_ids = plan.ids[span.start : span.stop]
    return sum(float(chances[row, token]) for row, token in enumerate(target_ids))
