"""Where a model's blocks are, found by watching one forward pass; no table of class names."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from worldline.errors import RefusedError
from worldline.models.exclusive_use import exclusive, own_hooks
from worldline.models.terms import SKIP
from worldline.models.tracer import BlockEvent, Watched, stream_input, watched_forward

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.attention import AttentionCall


@dataclass(eq=False)
class Anatomy:
    """The blocks in the order in which they run, and which modules read attention.

    `order` are block names, one per row of the grid (a block that runs twice stands twice);
    `keys` says whether attention is reached through private keys; some types compare the name of
    their implementation and change course under a private one, so they are watched without.
    `late`: only what follows a block's read needs to be seen operation by operation, because all
    reads come through keys and what was computed before them makes no term of its own; this is
    most of the cost of watching. `expected_calls`: how often the modules that can read attention
    ran, times reads per run. `end`: the module whose input is the last row, where that is not
    what the last block returns (types that keep the parts of their blocks in lists side by side).
    """

    order: list[str]
    blocks: list[torch.nn.Module]
    keys: bool = True
    expected_calls: int = 0
    late: bool = False
    end: torch.nn.Module | None = None

    @property
    def n_layers(self) -> int:
        """Number of rows of blocks."""
        return len(self.order)

    def distinct_blocks(self) -> list[torch.nn.Module]:
        """Every block module once."""
        return list({id(block): block for block in self.blocks}.values())


def find_anatomy(
    model: torch.nn.Module, inputs: dict[str, Any], *, with_keys: bool = True
) -> Anatomy:
    """Watch one pass and find the blocks: the outermost list elements that hold attention reads.

    Without `with_keys` attention is recognised in the operations even where keys would do.

    Raises:
        RefusedError: no attention read was seen, or the reads lie in no list of blocks.
    """
    names = dict(model.named_modules())
    n_pos = inputs["input_ids"].shape[1]
    ran: list[tuple[str, bool]] = []

    def note(name, _module, args, kwargs):
        ran.append((name, stream_input(args, kwargs, n_pos) is not None))

    with exclusive(model), own_hooks() as hooks:
        for name, module in names.items():
            hooks.before(module, functools.partial(note, name), with_kwargs=True)
        with torch.no_grad():
            plain = model(**inputs).logits
        watched_run, keys = _see_reads(model, inputs, plain, ran, with_keys)
    if not watched_run.callers:
        raise RefusedError(_nothing_read(watched_run, n_pos))
    homes = {name: _block_of(name, names) for name in watched_run.callers}
    lists = {home.rpartition(".")[0] for home in homes.values() if home}
    if not lists or not all(homes.values()):
        astray = next((n for n, h in homes.items() if not h), "")
        raise RefusedError(
            f"attention in `{astray or 'the model'}` lies in no list of blocks, so there are no "
            "rows between which it could be drawn"
        )
    order = [n for n, has_stream in ran if n.rpartition(".")[0] in lists and has_stream]
    if not order:
        raise RefusedError("the blocks are given no tensor of shape batch x pos x d_model")
    n_expected_calls = _expected_calls(watched_run, names)
    anatomy = Anatomy(order, [names[name] for name in order], keys, n_expected_calls)
    terms = _terms_of(model, inputs, anatomy)
    if SKIP not in terms[-1] and (end := _after_blocks(ran, order[-1], names)) is not None:
        anatomy.end = names[end]
        terms = _terms_of(model, inputs, anatomy)
    if keys and watched_run.n_key_calls == watched_run.n_calls:
        anatomy.late = True
        anatomy.late = _equal_terms(terms, _terms_of(model, inputs, anatomy))
    return anatomy


def _see_reads(
    model: torch.nn.Module,
    inputs: dict[str, Any],
    plain: Tensor,
    ran: list[tuple[str, bool]],
    with_keys: bool,
) -> tuple[Watched, bool]:
    """A pass with every read seen, and whether private keys were used for it.

    Some types compare the name of their implementation and take another course under a private
    one, mostly to another mask; those are watched without keys. Where the logits move although
    the patterns are the same, it is the watching itself that disturbs.

    Raises:
        RefusedError: watching through the keys changes what attention returns.
    """
    calls: dict[bool, list[AttentionCall]] = {True: [], False: []}

    def see(keys: bool) -> Watched:
        ran.clear()
        return watched_forward(
            model, inputs, None, terms=False, modules=True, keys=keys, on_call=calls[keys].append
        )

    if not with_keys:
        return see(False), False
    watched_run = see(True)
    if torch.equal(watched_run.logits, plain):
        return watched_run, True
    watched_run = see(False)
    if not torch.equal(watched_run.logits, plain):
        return watched_run, False
    for key_call, keyless_call in zip(calls[True], calls[False], strict=False):
        if key_call.source != "key" or torch.equal(key_call.z, keyless_call.z):
            continue
        n_pos = key_call.q.shape[2]
        patterns = (call.pattern_rows(0, n_pos) for call in (key_call, keyless_call))
        if torch.allclose(*patterns, rtol=1e-3, atol=1e-5):
            size = float((key_call.z - keyless_call.z).abs().max())
            raise RefusedError(
                f"logits change when watched: {key_call.module} returns what differs by "
                f"{size:.1e} through the recording key, at equal patterns"
            )
        break
    return watched_run, False


def _nothing_read(watched_run: Watched, n_pos: int) -> str:
    """Why no attention read was seen."""
    other_shapes = sorted(
        {
            (shape[-2], shape[-1])
            for shape in watched_run.softmaxes
            if len(shape) > 3 or shape[-1] == shape[-2]
        }
    )
    if other_shapes:
        rows, columns = other_shapes[0]
        return (
            f"the text has {n_pos} tokens, but softmax attention ran over {rows} x {columns} "
            "positions: its rows and columns are not the tokens"
        )
    return "no softmax attention over the tokens ran, so there is no K/V edge to show"


def _after_blocks(
    ran: list[tuple[str, bool]], last: str, names: dict[str, torch.nn.Module]
) -> str | None:
    """The first module after the last block that is given a residual stream and is in no list."""
    place = max(k for k, (name, _) in enumerate(ran) if name == last)
    return next(
        (n for n, has_stream in ran[place + 1 :] if has_stream and _block_of(n, names) is None),
        None,
    )


def _terms_of(
    model: torch.nn.Module, inputs: dict[str, Any], anatomy: Anatomy
) -> list[dict[str, Tensor]]:
    """The value of every term of every block."""
    block_terms: list[dict[str, Tensor]] = []

    def keep(event: BlockEvent) -> None:
        terms = event.terms or {}
        block_terms.append({name: term.value().detach() for name, term in terms.items()})

    watched_forward(model, inputs, anatomy, on_block=keep)
    if len(block_terms) != anatomy.n_layers:
        raise RefusedError(
            f"{anatomy.n_layers} blocks were found, but {len(block_terms)} of them ran to their end"
        )
    return block_terms


def _equal_terms(left: list[dict[str, Tensor]], right: list[dict[str, Tensor]]) -> bool:
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(left, right, strict=True)
    )


def _in_list(name: str, names: dict[str, torch.nn.Module]) -> bool:
    parent = name.rpartition(".")[0]
    return bool(name) and isinstance(names.get(parent), torch.nn.ModuleList)


def _block_of(name: str, names: dict[str, torch.nn.Module]) -> str | None:
    """The outermost ancestor (or self) that is an element of a module list."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        prefix = ".".join(parts[:end])
        if _in_list(prefix, names):
            return prefix
    return None


def _expected_calls(watched_run: Watched, names: dict[str, torch.nn.Module]) -> int:
    """Reads expected if every module of a kind that reads does so as often as the first did."""
    n_expected = 0
    for kind in {type(names[name]) for name in watched_run.callers}:
        ran = [name for name in watched_run.runs if type(names[name]) is kind]
        first = next(name for name in ran if name in watched_run.callers)
        reads = watched_run.callers.count(first) // watched_run.runs[first]
        n_expected += reads * sum(watched_run.runs[name] for name in ran)
    return n_expected
