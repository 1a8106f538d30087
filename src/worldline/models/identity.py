"""What a run was of: the one value by which a run and a model, or two runs, are told apart."""

from __future__ import annotations

import functools
import hashlib
import json
import operator
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from worldline.models.call_identity import note_first
from worldline.models.fingerprint import (
    SCALARS,
    Describer,
    code_of,
    is_cut,
    looks_on,
    tensor_summary,
)
from worldline.models.torch_patches import entered_modes, replaced_functions
from worldline.models.unembed import forget_tail
from worldline.models.weights import weights_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worldline.models.loader import LoadedModel

PRIVATE = "worldline_"  # the attention keys of watched runs: no property of the model
_OWN_FIELDS = frozenset(vars(torch.nn.Module()))
_HOOKS = {
    "_forward_pre_hooks": "forward pre-hook",
    "_forward_hooks": "forward hook",
    "_backward_pre_hooks": "backward pre-hook",
    "_backward_hooks": "backward hook",
}
_NOTED_APART = _OWN_FIELDS | {
    "config", "_hf_hook", "_is_hf_initialized", "_worldline",
    "_output_capturing_hooks_installed",
}  # fmt: skip
#: Attributes that say what the weights say too, or that no forward pass in eval mode reads; where a
#: user's code names one of them it is state as any other.
_UNREAD = frozenset((
    "generation_config", "name_or_path", "warnings_issued", "model_tags",
    "in_features", "out_features", "num_embeddings", "embedding_dim", "gradient_checkpointing",
    "_gradient_checkpointing_func", "_require_grads_hook", "_require_grads_hooks",
    "_tp_plan", "_pp_plan", "_ep_plan", "_fsdp_plan", "_skip_keys_device_placement",
    "_keys_to_ignore_on_load_unexpected", "_keys_to_ignore_on_load_missing",
    "_keys_to_ignore_on_save", "_weight_conversions", "all_tied_weights_keys", "loss_type",
    "_no_split_modules", "_keep_in_fp32_modules", "_keep_in_fp32_modules_strict",
))  # fmt: skip
_UNREAD_SETTINGS = frozenset((
    "transformers_version", "_name_or_path", "_commit_hash", "id2label", "label2id", "use_cache",
    "architectures", "_attn_implementation_internal", "_experts_implementation_internal",
    "_attn_implementation_autoset", "_post_init_done", "problem_type", "task_specific_params",
))  # fmt: skip
_FUNCTIONS = ("attention function", "mask function", "experts function")
_DENORMAL = 5e-324  # nothing, times one, where such numbers are taken for 0
#: How float32 is multiplied, by each of torch's switches: `torch.get_float32_matmul_precision`
#: raises where one of them was set.
_PRECISIONS = (
    "fp32_precision", "cuda.matmul.fp32_precision", "mkldnn.fp32_precision",
    "mkldnn.matmul.fp32_precision",
)  # fmt: skip
#: Of torch.backends, all that moves numbers.
_SWITCHES = (
    *_PRECISIONS, "cudnn.fp32_precision", "cudnn.conv.fp32_precision", "cudnn.rnn.fp32_precision",
    "mkldnn.conv.fp32_precision", "mkldnn.rnn.fp32_precision",
    "cuda.matmul.allow_fp16_reduced_precision_reduction",
    "cuda.matmul.allow_bf16_reduced_precision_reduction", "cuda.matmul.allow_fp16_accumulation",
    "cudnn.enabled", "cudnn.benchmark", "cudnn.deterministic",
    "mkldnn.enabled", "mkldnn.deterministic", "opt_einsum.enabled",
)  # fmt: skip
_GLOBAL_HOOKS = {f"_global{name}": kind for name, kind in _HOOKS.items()}

Facts = dict[str, Any]
_known: WeakKeyDictionary[torch.nn.Module, tuple[tuple[Any, ...], Identity]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Identity:
    """Which model ran, and as what: enough to refuse another one, and to name what differs.

    A run that is stored without digests is compared by its weights and its rows.

    Attributes:
        name: The model's name.
        model_type: Its type in transformers.
        config: Its configuration.
        weights_hash: Hash of its weights.
        dtype: In what it computes.
        device: Where it is.
        implementation: Its implementation of attention.
        n_layers: Blocks.
        n_heads: Query heads of a block.
        n_kv_heads: Heads of keys and values of a block.
        d_model: Numbers of a node.
        tensors: A digest of every weight and saved buffer.
        code: What the model consists of: classes, hooks and forwards that were put in place of
            others, attention and expert functions, the configuration, the mode.
        state: The values that modules and hooks hold.
        settings: What of torch itself moves numbers.
        complete: Whether the description holds all; else code or values go on behind where it ends.
    """

    name: str
    model_type: str
    config: dict[str, Any]
    weights_hash: str
    dtype: str
    device: str
    implementation: str
    n_layers: int = 0
    n_heads: int = 0
    n_kv_heads: int = 0
    d_model: int = 0
    tensors: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    complete: bool = True

    @property
    def all_told(self) -> bool:
        """Whether all code is a library's or a class's: what others hung in may read anything."""
        put = (place.rpartition("|")[2] for place in self.code if "|" in place)
        around = any(name.startswith("torch.") or name == MODES for name in self.settings)
        return self.complete and not around and not any("hook" in p or p == "forward" for p in put)

    def key(self, moving: frozenset[str] = frozenset()) -> str:
        """64 hex digits that are equal where the model is; `moving` names state to leave out."""
        keys: dict[frozenset[str], str] = self.__dict__.setdefault("_keys", {})
        if moving not in keys:
            keys[moving] = self._key(moving)
        return keys[moving]

    def _key(self, moving: frozenset[str]) -> str:
        parts = (
            self.weights_hash, self.dtype, self.device, self.tensors, self.code,
            {name: value for name, value in self.state.items() if name not in moving},
            {name: value for name, value in self.settings.items() if name != THREADS},
        )  # fmt: skip
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


THREADS = "torch's threads"
MODES = "modes around the call"


def identify(model: LoadedModel) -> Identity:
    """The identity of a model as it is at this moment: asked for once a run, and cheap.

    Weights and buffers are looked at as `weights_hash` does: all of a small model; of a large one
    versions, addresses and samples, so that a change behind autograd's back (``.data``, NumPy) of
    less than 1/16 of a tensor is not seen here.
    """
    module = model.module
    weights = weights_state(module)
    code, state = facts_of(module)
    settings = settings_now()
    raw = weights.hash, weights.digests, code, state, settings
    cached_entry = _known.get(module)
    if cached_entry is None or cached_entry[0] != raw:
        forget_tail(module)
        found = Identity(
            name=model.name,
            model_type=str(getattr(getattr(module, "config", None), "model_type", "")),
            config=module.config.to_dict(),  # type: ignore[union-attr, operator]
            weights_hash=weights.hash,
            dtype=_dtype(module),
            device=str(next(module.parameters()).device),
            implementation=_implementation(module),
            tensors=dict(weights.digests),
            code=_facts_in_words(code),
            state=_facts_in_words(state),
            settings=settings,
            complete=not any(is_cut(value) for facts in (code, state) for value in facts.values()),
        )
        cached_entry = _known[module] = raw, found
    identity = (
        cached_entry[1]
        if cached_entry[1].name == model.name
        else replace(cached_entry[1], name=model.name)
    )
    note_first(model, identity)
    return identity


def state_of(module: torch.nn.Module) -> dict[str, str]:
    """What modules and hooks hold at this moment: the `state` of the identity."""
    return _facts_in_words(facts_of(module)[1])


def _dtype(module: torch.nn.Module) -> str:
    return str(next(module.parameters()).dtype).removeprefix("torch.")


def _implementation(module: torch.nn.Module) -> str:
    config = getattr(module, "config", None)
    name = str(getattr(config, "_attn_implementation", None) or "eager")
    return name.removeprefix(PRIVATE)


def facts_of(module: torch.nn.Module) -> tuple[Facts, Facts]:
    """(What the model consists of, what its modules and hooks hold), by place and name."""
    code: Facts = {}
    state: Facts = {}
    configs: dict[int, tuple[str, Any]] = {}
    parts = list(module.named_modules())
    names = {id(part): name for name, part in parts}
    kinds = dict.fromkeys(type(part) for _, part in parts)
    classes = {kind: _note_class(state, kind, names) for kind in kinds}
    unnoted = (_UNREAD - set().union(*(code_of(kind).names for kind in kinds))) | _NOTED_APART
    for name, part in parts:
        attributes = vars(part)
        code[name] = classes[type(part)]
        for slot, hook in _HOOKS.items():
            if attributes.get(slot):
                _note_hooks(code, state, f"{name}|{hook}", part, slot, names)
        if (hook := attributes.get("_hf_hook")) is not None:
            _note_accelerate(code, state, name, hook, names)
        if part.training:
            code[f"{name}|train mode"] = True
        for child, inner in part._modules.items():  # the same module once more: tied layers
            place = f"{name}.{child}".lstrip(".")
            if inner is not None and (first := names[id(inner)]) != place:
                code[place] = f"the module {first}"
        config = attributes.get("config")
        if config is not None and id(config) not in configs:
            configs[id(config)] = (f"{name}.config".lstrip("."), config)
        part_state = []
        for attribute, value in attributes.items():
            if attribute in unnoted:
                continue
            if type(value) in SCALARS:
                part_state.append((attribute, value))
            elif callable(value) and not isinstance(value, (type, torch.nn.Module)):
                code[f"{name}|{attribute}"], values = Describer(names).code(value)
                if values:
                    part_state.append((attribute, values))
            else:
                part_state.append((attribute, Describer(names).plain(value)))
        for buffer in sorted(
            part._non_persistent_buffers_set
        ):  # not saved, so no part of the weights
            if (tensor := part._buffers.get(buffer)) is not None:
                part_state.append((f"buffer {buffer}", tensor_summary(tensor)))
        if part_state:
            state[name] = tuple(part_state)
    everywhere = torch.nn.modules.module
    for slot, hook in _GLOBAL_HOOKS.items():
        _note_hooks(code, state, f"|{hook} of all modules", everywhere, slot, names)
    _note_configs(code, state, configs)
    for place, function in replaced_functions().items():
        if values := Describer(names).code(function)[1]:
            state[f"|{place}"] = (("", values),)
    for mode in entered_modes():
        values = Describer(names).plain(mode)
        state[f"|{MODES}, {type(mode).__qualname__}"] = (("", values),)
    return code, state


def _note_class(state: Facts, kind: type, names: Mapping[int, str]) -> str:
    """The code of a class; what that reads is state, of several classes of one name too."""
    text, values = Describer(names).code(kind)
    if values:
        place = f"|class {kind.__qualname__}"
        state[place] = (*state.get(place, ()), *values)
    return text


def _note_hooks(
    code: Facts, state: Facts, where: str, holder: Any, slot: str, names: Mapping[int, str]
) -> None:
    hooks = list(vars(holder)[slot].values())
    hook_facts = [Describer(names).code(hook) for hook in hooks if not looks_on(hook)]
    if hook_facts:
        code[where] = tuple(name for name, _ in hook_facts)
        if hook_state := tuple((_names(name), values) for name, values in hook_facts if values):
            state[where] = hook_state


def _note_accelerate(
    code: Facts, state: Facts, name: str, hook: Any, names: Mapping[int, str]
) -> None:
    """A hook of accelerate, one or several in a row; its own kinds hold addresses and devices."""
    hooks = list(getattr(hook, "hooks", None) or (hook,))
    where = f"{name}|accelerate hook"
    code[where] = tuple(code_of(type(each)).text for each in hooks)
    held = []
    for each in hooks:
        if not type(each).__module__.startswith("accelerate."):
            held.append((type(each).__qualname__, Describer(names).plain(each)))
    if held:
        state[where] = tuple(held)


def _note_configs(code: Facts, state: Facts, configs: Mapping[int, tuple[str, Any]]) -> None:
    """Every configuration, whole, and the functions that it names; copies of one count once."""
    noted_facts: list[Facts] = []
    for place, config in configs.values():
        config_facts: Facts = {}
        config_facts[""] = _flat(config, "", config_facts, state, set())
        if config_facts not in noted_facts:
            noted_facts.append(config_facts)
            code.update(
                {f"{place}{n}" if n[:2] != "||" else n[1:]: v for n, v in config_facts.items()}
            )


def _flat(
    config: Any, where: str, code: Facts, state: Facts, visited_ids: set[int]
) -> tuple[Any, ...]:
    visited_ids.add(id(config))
    entries = []
    for name, value in vars(config).items():
        if hasattr(value, "to_dict") and hasattr(value, "__dict__"):
            if id(value) not in visited_ids:
                code[f"{where}.{name}"] = _flat(value, f"{where}.{name}", code, state, visited_ids)
        elif name not in _UNREAD_SETTINGS:
            entries.append((name, value if type(value) in SCALARS else Describer().plain(value)))
    for name, kind in (
        ("_attn_implementation", "attention"),
        ("_experts_implementation", "experts"),
    ):
        implementation = vars(config).get(f"{name}_internal")
        if isinstance(implementation, str):
            implementation = implementation.removeprefix(PRIVATE)
            code[f"{where}|{kind} implementation"] = implementation
            for table, functions in function_tables(kind):
                if implementation in functions:
                    place = f"|{table} {implementation}"
                    code[f"|{place}"], values = Describer().code(functions[implementation])
                    if values:
                        state[place] = (("", values),)
    return tuple(entries)


def function_tables(kind: str) -> Iterator[tuple[str, Any]]:
    """Where transformers keeps the functions that an implementation is the name of."""
    if kind == "attention":
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        yield "attention function", ALL_ATTENTION_FUNCTIONS
        yield "mask function", ALL_MASK_ATTENTION_FUNCTIONS
    else:
        from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

        yield "experts function", ALL_EXPERTS_FUNCTIONS


def settings_now() -> dict[str, str]:
    """What of torch itself moves numbers."""
    cuda = torch.backends.cuda
    settings = {
        THREADS: torch.get_num_threads(),
        "machine": _machine(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "default dtype": torch.get_default_dtype(),
        "attention kernels": (
            cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled(),
            cuda.cudnn_sdp_enabled(), cuda.fp16_bf16_reduction_math_sdp_allowed(),
        ),
        "denormal numbers": _DENORMAL * 1.0 != 0.0,
    }  # fmt: skip
    settings |= zip(_SWITCHES, operator.attrgetter(*_SWITCHES)(torch.backends), strict=True)
    settings |= {
        place: Describer().code(function)[0] for place, function in replaced_functions().items()
    }
    if modes := entered_modes():
        settings[MODES] = ", ".join(code_of(type(mode)).text for mode in modes)
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            settings[f"autocast on {device}"] = torch.get_autocast_dtype(device)
    return {name: str(value) for name, value in settings.items()}


def rounds_products() -> bool:
    """Whether torch is set to multiply float32 in a coarser type; it is not as a process starts."""
    precisions = operator.attrgetter(*_PRECISIONS)(torch.backends)
    return any(precision not in ("none", "ieee") for precision in precisions)


@functools.cache
def _machine() -> str:
    """What computes: equal versions round in another way on another processor."""
    if torch.cuda.is_available():
        return f"{platform.machine()}, {torch.cuda.get_device_name()}"
    words = Path("/proc/cpuinfo")
    lines = words.read_text().splitlines() if words.is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return f"{name or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def _facts_in_words(facts: Facts) -> dict[str, str]:
    """Facts one by one, in words that a file can hold: each value under a name of its own."""
    words: dict[str, str] = {}
    for place, value in facts.items():
        if _is_table(value):
            _into(words, place, value)
        else:
            words[place] = _short(value)
    return words


def _into(words: dict[str, str], place: str, value: Any) -> None:
    """A value, or each of a table's or a list's: so that what moves can be told from the rest."""
    if _is_table(value):
        for name, entry in value:
            _into(words, f"{place}.{name}" if name else place, entry)
    elif type(value) is tuple and any(type(item) is tuple for item in value):
        for at, item in enumerate(value):
            _into(words, f"{place}[{at}]", item)
    else:
        while place in words:  # two hooks of one name
            place += "'"
        words[place] = _short(value)


def _is_table(value: Any) -> bool:
    return (
        type(value) is tuple
        and bool(value)
        and all(type(row) is tuple and len(row) == 2 and type(row[0]) is str for row in value)
    )


def _short(value: Any) -> str:
    text = value if type(value) is str else repr(value)
    codes = type(value) is tuple and all(type(one) is str and "#" in one for one in value)
    if codes or len(text) <= 80:  # of functions each is to be told by its name
        return text
    return f"{text[:60]}… {hashlib.sha256(text.encode()).hexdigest()[:12]}"


# --- what differs --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One thing that differs between two identities, in words.

    `certain`: it is another model whatever the numbers are. What modules and hooks hold, and what
    torch is set to, may move without moving a number: there the rows must tell.
    """

    words: str
    certain: bool


def differences(
    before: Identity,
    after: Identity,
    *,
    same_code: bool = True,
    moving: frozenset[str] = frozenset(),
) -> list[Difference]:
    """What differs, the weightiest first; nothing where the runs are of one model.

    Without `same_code`, as between two versions of a library, the code of classes and functions
    is not compared. `moving` names state that moves as the model merely runs: it comes last.
    """
    changes = [
        Difference(f"{name} {getattr(before, name)} → {getattr(after, name)}", True)
        for name in ("model_type", "dtype", "device")
        if getattr(before, name) != getattr(after, name)
    ]
    if before.code:
        changes += _code_differences(before, after, same_code)
    if before.tensors:
        changes += _tensor_differences(before.tensors, after.tensors)
    elif before.weights_hash != after.weights_hash:
        hashes = f"{before.weights_hash[:12]} → {after.weights_hash[:12]}"
        changes.append(Difference(f"weights {hashes}", True))
    if before.code:
        changes += _mode_differences(
            before, after
        )  # new modules are in train mode: first what is new
        settings = _changed_entries(before.settings, after.settings)
        setting_places = tuple(f"|{name}" for name, _, _ in settings)  # with what they hold
        state = [
            entry
            for entry in _changed_entries(before.state, after.state)
            if not entry[0].startswith(setting_places)
        ]
        changes += _state_differences(
            [entry for entry in state if entry[0] not in moving], after.state
        )
        changes += [Difference(_setting_words(*entry), False) for entry in settings]
        changes += _state_differences([entry for entry in state if entry[0] in moving], after.state)
    return changes


def state_differs(before: Identity, after: Identity, *, same_code: bool = True) -> bool:
    """Whether what modules and hooks hold differs; of a run stored without that, no one knows: no.

    Without `same_code`, as between two versions of a library, what only one of the two holds does
    not count.
    """
    if not before.code:
        return False
    names = (
        set(before.state) | set(after.state) if same_code else set(before.state) & set(after.state)
    )
    return any(before.state.get(name) != after.state.get(name) for name in names)


def in_one_line(changes: list[Difference]) -> str:
    """The first of some differences, and how many more there are."""
    more = f" (and {len(changes) - 1:,} more)" if len(changes) > 1 else ""
    return f"{changes[0].words}{more}"


def _changed_entries(
    was: Mapping[str, str], current: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """(name, before, now) of what is not the same; "none" where it was not there or is not."""
    if was == current:
        return []
    names = dict.fromkeys((*was, *current))
    pairs = ((name, was.get(name, "none"), current.get(name, "none")) for name in names)
    return [(name, a, b) for name, a, b in pairs if a != b]


def _code_differences(before: Identity, after: Identity, same_code: bool) -> list[Difference]:
    """Of classes, hooks, functions in place of others, configurations, the mode."""
    ranked_changes: list[tuple[int, str]] = []
    for place, was, current in _changed_entries(before.code, after.code):
        module, bar, feature = place.rpartition("|")
        of = f" of {module}" if module else ""
        is_module_gone = (
            bool(bar and module) and module not in after.code and not _is_config(module)
        )
        is_other_choice = feature.startswith(_FUNCTIONS) and "none" in (
            was,
            current,
        )  # another implementation's
        if feature == "train mode" or is_module_gone or is_other_choice:
            continue
        names = (_names(was), _names(current))
        if not same_code and names[0] == names[1] and "#" in was:
            continue
        if "hook" in feature:
            ranked_changes.append((1, _hook_words(feature, module, was, current)))
        elif feature.startswith(_FUNCTIONS):
            ranked_changes.append((2, f"the {feature} is other code: {names[0]} → {names[1]}"))
        elif bar and feature.endswith("implementation"):
            ranked_changes.append((2, f"{feature} {was} → {current}"))
        elif bar and feature == "forward":
            ranked_changes.append((1, _forward_words(module, was, current)))
        elif bar:
            ranked_changes.append((4, f"{feature}{of} is other code: {names[0]} → {names[1]}"))
        elif _is_config(place):
            ranked_changes.append((3, f"{place} {was} → {current}"))
        elif names[0] == names[1]:
            ranked_changes.append(
                (5, f"the code of class {names[0].rpartition('.')[2]} ({place or 'the model'})")
            )
        else:
            ranked_changes.append((2, _module_words(place, *names)))
    return [Difference(words, True) for _, words in sorted(ranked_changes, key=lambda one: one[0])]


def _is_config(place: str) -> bool:
    return "config" in place.split(".")


def _names(code: str) -> str:
    """Names of functions without the digests of their code."""
    words = code.strip("()").replace("'", "").split(", ")
    return ", ".join(word.partition("#")[0] for word in words if word)


def _mode_differences(before: Identity, after: Identity) -> list[Difference]:
    """Of modules in train mode here and not there, unless another class stands there now."""
    unchanged_places = {
        place for place in before.code if before.code[place] == after.code.get(place)
    }
    modes = [
        [
            p
            for p in identity.code
            if p.endswith("|train mode") and p.rpartition("|")[0] in unchanged_places
        ]
        for identity in (before, after)
    ]
    return [Difference(_mode_words(*modes), True)] if modes[0] != modes[1] else []


def _mode_words(was: list[str], current: list[str]) -> str:
    changed_places = sorted(set(was) ^ set(current), key=lambda place: (place.count("."), place))
    where = changed_places[0].rpartition("|")[0]
    mode = "train mode" if changed_places[0] in current else "eval mode"
    more = f" and {len(changed_places) - 1:,} more modules" if len(changed_places) > 1 else ""
    return f"{mode} in {where}{more}" if where else mode


def _hook_words(kind: str, module: str, was: str, current: str) -> str:
    before, after = _names(was), _names(current)
    if was == "none":
        return f"a {kind} was added{f' to {module}' if module else ''}: {after}"
    if current == "none":
        return f"a {kind} was removed{f' from {module}' if module else ''}: {before}"
    where = f" on {module}" if module else ""
    if before == after:
        return f"a {kind} is other code{where}: {_names(_beside(current, was)) or after}"
    for verb, less, more in (("added to", was, current), ("removed from", current, was)):
        new = _beside(more, less)
        if new and not _beside(less, more):
            return f"a {kind} was {verb} {module or 'all modules'}: {_names(new)}"
    gone, new = _names(_beside(was, current)), _names(_beside(current, was))
    return f"the {kind}s are others{where}: {gone or before} → {new or after}"


def _beside(code: str, other_code: str) -> str:
    """The functions of one list that are not in another."""
    other_words = other_code.strip("(),").split(", ")
    return ", ".join(word for word in code.strip("(),").split(", ") if word not in other_words)


def _forward_words(module: str, was: str, current: str) -> str:
    where = module or "the model"
    if current == "none":
        return f"the forward of {where} is its class's again, not {_names(was)}"
    return f"the forward of {where} was replaced: {_names(current)}"


def _module_words(place: str, was: str, current: str) -> str:
    short = [name if " " in name else name.rpartition(".")[2] for name in (was, current)]
    was, current = (was, current) if short[0] == short[1] else short
    where = place or "the model"
    if was == "none":
        return f"module {where} was added: {current}"
    return (
        f"module {where} was removed: {was}" if current == "none" else f"{where}: {was} → {current}"
    )


def _tensor_differences(was: Mapping[str, str], current: Mapping[str, str]) -> list[Difference]:
    """Weights, and buffers, by name; buffers that are not saved may follow the text."""
    if was == current:
        return []
    changes = []
    for name, before, after in _changed_entries(was, current):
        kind = "added" if before == "none" else "removed" if after == "none" else ""
        words = f"weights of {name}" + (f" were {kind}" if kind else "")
        changes.append(Difference(words, True))
    return changes


def _setting_words(name: str, was: str, current: str) -> str:
    if not name.startswith("torch."):
        return f"{name} {was} → {current}"
    if current == "none":
        return f"the function {name} is torch's again, not {_names(was)}"
    return f"the function {name} was replaced: {_names(current)}"


def _state_differences(
    changed_entries: list[tuple[str, str, str]], after: Mapping[str, str]
) -> list[Difference]:
    """Of what modules and hooks hold; `after` is all of it."""
    ranked_changes = []
    for place, was, current in changed_entries:
        module, _, name = place.rpartition(".")
        if place[1:].startswith(_FUNCTIONS) and "none" in (was, current):
            continue  # another implementation's, or code that is other
        if name in ("_disable_adapters", "disable_adapters"):
            active = after.get(f"{module}._active_adapter", "").strip("(),'") or "default"
            off = "off" if current == "True" else "on"
            ranked_changes.append((0, f'adapter "{active}" is switched {off} ({module})'))
        elif "_active_adapter" in name:
            ranked_changes.append((0, f"active adapter {was} → {current} ({module})"))
        elif name.startswith("buffer "):
            buffer = f"{module}.{name.removeprefix('buffer ')}".lstrip(".")
            ranked_changes.append((1, f"buffer {buffer} holds other values"))
        else:
            where = place.removeprefix("|").replace("|", ", ")
            ranked_changes.append((1, f"{where} {was} → {current}"))
    return [Difference(words, False) for _, words in sorted(ranked_changes, key=lambda one: one[0])]
