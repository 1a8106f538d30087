"""Ways in which a model changes between two calls, each with what a refusal must name."""

from __future__ import annotations

import copy
import functools
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

Undo = Callable[[], None]


@dataclass(frozen=True)
class Change:
    """`make(module)` changes it and gives what undoes that; `named` is a pattern of the refusal.

    Without `named` the change moves no number, and no refusal is allowed.
    """

    make: Callable[[nn.Module], Undo]
    named: str | None


CHANGES: dict[str, Change] = {}


def change(named: str | None = None):
    def keep(make):
        CHANGES[make.__name__] = Change(make, named)
        return make

    return keep


def attribute(thing, name, value) -> Undo:
    """Set an attribute; setting it back undoes that."""
    before = vars(thing).get(name, nn.Module)
    setattr(thing, name, value)
    if before is nn.Module:
        return lambda: delattr(thing, name)
    return lambda: setattr(thing, name, before)


def layer(module, at=1):
    return module.get_decoder().layers[at]


def weight(module):
    return layer(module).mlp.down_proj.weight


# --- weights and buffers -------------------------------------------------------------------------


@change(r"weights of .*layers\.1\.mlp\.down_proj\.weight")
def weights_in_place(module):
    kept = weight(module).detach().clone()
    with torch.no_grad():
        weight(module).mul_(1.5)
    return lambda: weight(module).data.copy_(kept)


@change(r"weights of .*layers\.1\.mlp\.down_proj\.weight")
def weights_behind_autograd(module):
    kept = weight(module).detach().clone()
    weight(module).data.mul_(1.5)
    return lambda: weight(module).data.copy_(kept)


@change(r"weights of .*layers\.1\.mlp\.down_proj\.weight")
def one_weight_behind_autograd(module):
    kept = float(weight(module).data[3, 5])
    weight(module).data[3, 5] += 2.0
    return lambda: weight(module).data[3, 5].fill_(kept)


@change(r"weights of .*layers\.1\.mlp\.down_proj\.weight")
def one_weight_in_numpy(module):
    raw = weight(module).detach().numpy()
    kept = float(raw[2, 1])
    raw[2, 1] += 2.0
    return lambda: raw.__setitem__((2, 1), kept)


@change(r"weights of .*layers\.1\.mlp\.down_proj\.weight")
def another_parameter(module):
    kept = weight(module)
    layer(module).mlp.down_proj.weight = nn.Parameter(kept.detach() * 1.5)
    return lambda: setattr(layer(module).mlp.down_proj, "weight", kept)


@change("weights of ")
def three_steps(module):
    kept = copy.deepcopy(module.state_dict())
    steps = torch.optim.SGD(module.parameters(), 0.5)
    for _ in range(3):
        ids = torch.arange(20, 30)[None]
        module(input_ids=ids, labels=ids).loss.backward()
        steps.step()
        steps.zero_grad()
    return lambda: module.load_state_dict(kept)


@change(r"buffer .*inv_freq")
def rope_buffer_in_place(module):
    rope = module.get_decoder().rotary_emb
    kept = rope.inv_freq.clone()
    rope.inv_freq.mul_(0.5)
    return lambda: rope.inv_freq.copy_(kept)


@change(r"buffer .*inv_freq")
def another_rope_buffer(module):
    rope = module.get_decoder().rotary_emb
    return attribute_of_buffers(rope, "inv_freq", rope.inv_freq * 0.5)


def attribute_of_buffers(part, name, value) -> Undo:
    kept = getattr(part, name)
    setattr(part, name, value)
    return lambda: setattr(part, name, kept)


@change("weights of .* were added")
def a_bias_that_was_not_there(module):
    down = layer(module).mlp.down_proj
    down.bias = nn.Parameter(torch.full((down.out_features,), 0.5))
    return lambda: setattr(down, "bias", None)


# --- configuration and attributes ----------------------------------------------------------------


@change(r"config\.rope_parameters\.rope_theta 10000\.0 → 500000\.0")
def rope_theta(module):
    inner = module.config.rope_parameters
    inner["rope_theta"] = 500000.0
    return lambda: inner.__setitem__("rope_theta", 10000.0)


@change(r"config\.rms_norm_eps .* → 0\.5")
def config_alone(module):
    return attribute(module.config, "rms_norm_eps", 0.5)


@change(r"rotary_emb\.attention_scaling 1\.0 → 1\.5")
def scale_of_rope(module):
    return attribute(module.get_decoder().rotary_emb, "attention_scaling", 1.5)


@change(r"input_layernorm\.variance_epsilon .* → 0\.5")
def eps(module):
    return attribute(layer(module).input_layernorm, "variance_epsilon", 0.5)


@change(r"norm\.variance_epsilon .* → 0\.5")
def eps_of_the_last_norm(module):
    return attribute(module.get_decoder().norm, "variance_epsilon", 0.5)


@change(r"self_attn\.scaling .* → 0\.9")
def scaling(module):
    return attribute(layer(module).self_attn, "scaling", 0.9)


@change("train mode")
def train_mode(module):
    module.train()
    return module.eval


@change(r"train mode in .*layers\.1\.mlp")
def train_mode_of_a_part(module):
    layer(module).mlp.train()
    return module.eval


# --- code ----------------------------------------------------------------------------------------


def bend(x, by=0.3):
    """A number that another code gives."""
    return (x[0] + by * torch.tanh(x[0]), *x[1:]) if isinstance(x, tuple) else x + by * x.tanh()


@change(r"a forward hook was added to .*layers\.1: tanh_into")
def hook_added(module):
    def tanh_into(_module, _args, out):
        return bend(out)

    return layer(module).register_forward_hook(tanh_into).remove


@change(r"a forward hook was added to .*layers\.1\.mlp: with_words")
def hook_with_words(module):
    def with_words(_module, _args, _kwargs, out):
        return bend(out)

    return layer(module).mlp.register_forward_hook(with_words, with_kwargs=True).remove


@change(r"a forward pre-hook was added to .*layers\.1\.mlp: before")
def pre_hook_added(module):
    def before(_module, args):
        return (bend(args[0]),)

    return layer(module).mlp.register_forward_pre_hook(before).remove


@change("a forward hook of all modules was added")
def hook_on_everything(module):
    mlp = layer(module).mlp

    def only_there(part, _args, out):
        return bend(out) if part is mlp else None

    return nn.modules.module.register_module_forward_hook(only_there).remove


@change(r"the forward of .*layers\.1\.mlp was replaced: twice")
def forward_of_an_instance(module):
    mlp = layer(module).mlp
    honest = mlp.forward

    def twice(x):
        return 2 * honest(x)

    return attribute(mlp, "forward", twice)


@change(r"the forward of .*layers\.1\.mlp was replaced: linear")
def bound_forward(module):
    mlp = layer(module).mlp

    def linear(self, x):
        return self.down_proj(self.up_proj(x))

    return attribute(mlp, "forward", types.MethodType(linear, mlp))


@change("the code of class LlamaMLP")
def forward_of_a_class(module):
    kind = type(layer(module).mlp)
    honest = kind.forward
    kind.forward = lambda self, x: 1.5 * honest(self, x)
    return lambda: setattr(kind, "forward", honest)


@change("the code of class LlamaAttention")
def function_beside_a_class(module):
    import transformers.models.llama.modeling_llama as home

    honest = home.apply_rotary_pos_emb

    def apply_rotary_pos_emb(q, k, *args, **kwargs):
        q, k = honest(q, k, *args, **kwargs)
        return 1.5 * q, k

    home.apply_rotary_pos_emb = apply_rotary_pos_emb
    return lambda: setattr(home, "apply_rotary_pos_emb", honest)


@change(r"layers\.1\.mlp\.act_fn: SiLUActivation → Tanh")
def another_activation(module):
    return attribute_of_modules(layer(module).mlp, "act_fn", nn.Tanh().eval())


@change(r"weights of .*layers\.1\.mlp\.up_proj\.weight")
def a_block_put_in_place_of_another(module):
    other = copy.deepcopy(layer(module))
    with torch.no_grad():
        other.mlp.up_proj.weight.mul_(2)
    return attribute_of_modules(module.get_decoder().layers, "1", other)


def attribute_of_modules(part, name, value) -> Undo:
    kept = part._modules[name]
    part._modules[name] = value
    return lambda: part._modules.__setitem__(name, kept)


@change("attention implementation sdpa → eager")
def attention_implementation(module):
    module.set_attn_implementation("eager")
    return lambda: module.set_attn_implementation("sdpa")


@change("the attention function sdpa is other code")
def attention_registered_anew(module):
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    honest = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def sdpa_attention_forward(part, query, *args, **kwargs):
        return honest(part, 1.5 * query, *args, **kwargs)

    ALL_ATTENTION_FUNCTIONS.register("sdpa", sdpa_attention_forward)
    return lambda: ALL_ATTENTION_FUNCTIONS.register("sdpa", honest)


@change("the mask function sdpa is other code")
def masks_registered_anew(module):
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    honest = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]

    def sdpa_mask(*args, **kwargs):
        return honest(*args, **(kwargs | {"allow_is_causal_skip": False}))

    ALL_MASK_ATTENTION_FUNCTIONS.register("sdpa", sdpa_mask)
    return lambda: ALL_MASK_ATTENTION_FUNCTIONS.register("sdpa", honest)


# --- torch itself --------------------------------------------------------------------------------


def function_of_torch(space, name, other) -> Undo:
    """Put a function in place of torch's, made of it by `other`."""
    honest = getattr(space, name)
    setattr(space, name, functools.wraps(honest)(other(honest)))
    return lambda: setattr(space, name, honest)


@change(r"the function torch\.nn\.functional\.silu was replaced: silu")
def a_function_of_torch(_module):
    def scaled(honest):
        return lambda *args, **kwargs: 1.01 * honest(*args, **kwargs)

    return function_of_torch(nn.functional, "silu", scaled)


@change(r"the function torch\.rsqrt was replaced: .*tanh")
def a_function_of_torch_for_another(_module):
    honest = torch.rsqrt
    torch.rsqrt = torch.tanh
    return lambda: setattr(torch, "rsqrt", honest)


@change(r"the function torch\.Tensor\.pow was replaced: .*pow")
def a_method_of_tensors(_module):
    honest = torch.Tensor.pow

    @functools.wraps(honest)
    def scaled(self, *args, **kwargs):
        return 1.01 * honest(self, *args, **kwargs)

    torch.Tensor.pow = scaled
    return lambda: delattr(torch.Tensor, "pow")


class Scaling(TorchFunctionMode):
    """Another silu, as those see it who call torch."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        return 1.01 * out if func is nn.functional.silu else out


class ScalingBelow(TorchDispatchMode):
    """Another silu, as torch's own operations see it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        return 1.01 * out if func is torch.ops.aten.silu.default else out


class CountingBelow(TorchDispatchMode):
    """Looks on, and counts."""

    def __init__(self):
        super().__init__()
        self.n_seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n_seen += 1
        return func(*args, **(kwargs or {}))


def entered(mode) -> Undo:
    mode.__enter__()
    return lambda: mode.__exit__(None, None, None)


@change("modes around the call none → changes.Scaling#")
def a_mode_of_functions(_module):
    return entered(Scaling())


@change("modes around the call none → changes.ScalingBelow#")
def a_mode_of_operations(_module):
    return entered(ScalingBelow())


@change("dtype float32 → float64")
def dtype(module):
    buffers = {name: held.clone() for name, held in module.named_buffers()}
    kept = copy.deepcopy(module.state_dict())
    module.double()

    def back():
        module.float()
        module.load_state_dict(kept)
        for name, held in module.named_buffers():
            held.copy_(buffers[name])

    return back


# --- what a hook that is there from the start holds ----------------------------------------------
# `prepare` puts these in place before anything is recorded.


class Steering:
    """A hook that is an object, with a strength."""

    def __init__(self):
        self.strength = 0.3

    def __call__(self, _module, _args, out):
        return bend(out, self.strength)


class Counting:
    """A hook that counts its runs beside what it holds."""

    def __init__(self):
        self.n_runs, self.share = 0, 0.3

    def __call__(self, _module, _args, out):
        self.n_runs += 1
        return bend(out, self.share)


class Low(nn.Module):
    """A linear map and a change of low rank, as adapters make them."""

    def __init__(self, base: nn.Linear):
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.base, self.scale, self.active = base, 2.0, True
        self.a = nn.Parameter(torch.randn(2, base.in_features, generator=draw))
        self.b = nn.Parameter(torch.randn(base.out_features, 2, generator=draw) / 5)

    def forward(self, x):
        out = self.base(x)
        return out + self.scale * (x @ self.a.T @ self.b.T) if self.active else out


class Clipped(torch.autograd.Function):
    """A function with a derivative of its own."""

    @staticmethod
    def forward(ctx, x):
        return 1.0 * x

    @staticmethod
    def backward(ctx, gradient):
        return 1.0 * gradient


class Factor:
    """Numbers that are come by in Python's own ways."""

    def __init__(self, by=0.1):
        self.by = by

    def __getitem__(self, _at):
        return self.by

    def __mul__(self, x):
        return x * (1 + self.by)

    def __enter__(self):
        return self.by

    def __exit__(self, *_error):
        pass


class Turner:
    """Bends by its method, and by a function that it holds."""

    shapes = (bend,)

    def __init__(self):
        self.shape = bend

    def turn(self, x):
        return self.shapes[0](self.shape(x, 0.01), 0.01)


def twist(x, by=0.01):
    """What others call by name, or find in a table."""
    return bend(x, by)


ROUTES = {"twist": twist}
FACTOR = Factor()


class Parts(nn.Module):
    """An MLP around which code lies in all kinds of places."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.turner = inner, Turner()
        self.stages, self.filters = [twist], [functools.partial(twist, by=0.02)]

    def forward(self, x):
        with Factor(0.05) as by:
            x = self.filters[0](self.stages[0](Clipped.apply(twist(x)))) * (1 + by)
        x = ROUTES["twist"](self.turner.turn(FACTOR * x * FACTOR[0]))
        return self.inner(x) * self.inner.down_proj.in_features**-0.5


TABLE = {"by": 0.2}
LEVELS = [0.1, 0.2]
SHIFT = torch.full((1,), 0.1)
SETTINGS = types.SimpleNamespace(by=0.1)


def of_module_level(_module, _args, out):
    """A hook that reads what lies beside it."""
    return bend(out, TABLE["by"] + LEVELS[1] + SHIFT + SETTINGS.by)


@dataclass(frozen=True)
class Held:
    """What `prepare` put in, kept beside the model: nothing of it is the model's own."""

    steering: Steering
    counting: Counting
    vector: torch.Tensor
    strength: dict[str, float]
    key: int


HELD: WeakKeyDictionary[nn.Module, Held] = WeakKeyDictionary()


def prepare(module) -> None:
    """Put an adapter, and hooks that hold values, into a model."""
    layer(module, 0).mlp = Parts(layer(module, 0).mlp).eval()
    layer(module, 0).self_attn.v_proj = Low(layer(module, 0).self_attn.v_proj).eval()
    object_hook, counting = Steering(), Counting()
    layer(module, 0).mlp.register_forward_hook(object_hook)
    layer(module, 0).mlp.register_forward_hook(counting)
    layer(module, 1).mlp.register_forward_hook(of_module_level)
    vector = torch.full((module.config.hidden_size,), 0.2)
    strength = {"by": 1.0}

    def steered(_module, _args, out):
        return out + strength["by"] * vector

    handle = layer(module, 1).mlp.register_forward_hook(steered)
    HELD[module] = Held(object_hook, counting, vector, strength, handle.id)


@change(r"layers\.0\.self_attn\.v_proj\.active True → False")
def adapter_off(module):
    return attribute(layer(module, 0).self_attn.v_proj, "active", False)


@change(r"layers\.0\.self_attn\.v_proj\.scale 2\.0 → 4\.0")
def scale_of_an_adapter(module):
    return attribute(layer(module, 0).self_attn.v_proj, "scale", 4.0)


@change(r"strength 0\.3 → 0\.9")
def what_a_hook_object_holds(module):
    return attribute(HELD[module].steering, "strength", 0.9)


@change(r"share 0\.3 → 0\.9")
def what_a_hook_holds_beside_a_counter(module):
    return attribute(HELD[module].counting, "share", 0.9)


@change(r"TABLE\.by 0\.2 → 0\.9")
def a_dict_that_a_hook_reads(module):
    TABLE["by"] = 0.9
    return lambda: TABLE.__setitem__("by", 0.2)


@change(r"LEVELS \(0\.1, 0\.2\) → \(0\.1, 0\.9\)")
def a_list_that_a_hook_reads(module):
    LEVELS[1] = 0.9
    return lambda: LEVELS.__setitem__(1, 0.2)


@change("SHIFT ")
def a_tensor_that_a_hook_reads(module):
    SHIFT.fill_(0.9)
    return lambda: SHIFT.fill_(0.1)


@change(r"SETTINGS\.by 0\.1 → 0\.9")
def an_object_that_a_hook_reads(module):
    return attribute(SETTINGS, "by", 0.9)


@change(r"by 1\.0 → 2\.0")
def what_a_hook_closes_over(module):
    HELD[module].strength["by"] = 2.0
    return lambda: HELD[module].strength.__setitem__("by", 1.0)


@change("vector ")
def the_vector_a_hook_adds(module):
    HELD[module].vector.mul_(2)
    return lambda: HELD[module].vector.div_(2)


@change(r"a forward hook was removed from .*layers\.1\.mlp: steered")
def hook_removed(module):
    hooks = layer(module, 1).mlp._forward_hooks
    key = HELD[module].key
    hook = hooks.pop(key)
    return lambda: hooks.__setitem__(key, hook)


@change(r"a forward hook is other code on .*layers\.1\.mlp: steered")
def hook_of_equal_name(module):
    hooks, key, vector = layer(module, 1).mlp._forward_hooks, HELD[module].key, HELD[module].vector
    hook = hooks[key]

    def steered(_module, _args, out):
        return out - vector

    hooks[key] = steered
    return lambda: hooks.__setitem__(key, hook)


@change(r"the forward hooks are others on .*layers\.1\.mlp: steered → bent")
def hook_in_place_of_a_hook(module):
    def bent(_module, _args, out, by):
        return bend(out, by)

    hooks, key = layer(module, 1).mlp._forward_hooks, HELD[module].key
    hook = hooks[key]
    hooks[key] = functools.partial(bent, by=0.4)
    return lambda: hooks.__setitem__(key, hook)


# --- the code around a class of one's own --------------------------------------------------------
OTHERS = frozenset(CHANGES)


def parts(module) -> Parts:
    return layer(module, 0).mlp


def item(holder, key, value) -> Undo:
    """Set an item; setting it back undoes that."""
    before = holder[key]
    holder[key] = value
    return lambda: holder.__setitem__(key, before)


def twice_bent(x, by=0.01):
    return bend(bend(x, 0.5), by)


@change(r"the code of class Parts \(model\.layers\.0\.mlp\)")
def backward_of_a_function(_module):
    return attribute(Clipped, "backward", staticmethod(lambda _ctx, gradient: 0.5 * gradient))


@change(r"the code of class Parts \(model\.layers\.0\.mlp\)")
def forward_of_a_function(_module):
    return attribute(Clipped, "forward", staticmethod(lambda _ctx, x: 0.5 * x))


@change(r"the code of class Parts")
def enter_of_a_helper(_module):
    return attribute(Factor, "__enter__", lambda self: 0.9)


@change(r"the code of class Parts")
def init_of_a_helper(_module):
    return attribute(Factor, "__init__", lambda self, by: setattr(self, "by", 9 * by))


@change(r"Parts")
def item_of_a_helper(_module):
    return attribute(Factor, "__getitem__", lambda self, _at: 0.9)


@change(r"Parts")
def product_of_a_helper(_module):
    return attribute(Factor, "__mul__", lambda self, x: x * 9)


@change(r"class Parts\.ROUTES\.twist twist#\w+ → twice_bent#")
def a_function_in_a_table(_module):
    return item(ROUTES, "twist", twice_bent)


@change(r"layers\.0\.mlp\.stages\[0\] twist#\w+ → twice_bent#")
def a_function_in_a_list(module):
    return item(parts(module).stages, 0, twice_bent)


@change(r"layers\.0\.mlp\.filters\[0\]\.partial.*by 0\.02 → 0\.9")
def an_argument_of_a_partial(module):
    return item(parts(module).filters, 0, functools.partial(twist, by=0.9))


@change(r"layers\.0\.mlp\.turner\.shape bend#\w+( \d+)? → twice_bent#")
def a_function_that_an_object_holds(module):
    return attribute(parts(module).turner, "shape", twice_bent)


@change(r"layers\.0\.mlp\.turner\.class ")
def a_method_of_an_object(_module):
    return attribute(Turner, "turn", lambda self, x: twice_bent(x))


@change(r"layers\.0\.mlp\.turner\.Turner\.shapes\[0\] bend#\w+ → twice_bent#")
def a_function_that_a_class_holds(_module):
    return attribute(Turner, "shapes", (twice_bent,))


@change(r"twist\(\).* \(0\.01,\) → \(0\.9,\)")
def a_default(_module):
    twist.__defaults__ = (0.9,)
    return lambda: setattr(twist, "__defaults__", (0.01,))


@change(r"down_proj\.in_features 48 → 192")
def a_size_that_code_reads(module):
    down = parts(module).inner.down_proj
    return attribute(down, "in_features", 4 * down.in_features)


@change("the code of class LlamaAttention")
def a_function_below_a_function_of_a_library(_module):
    import transformers.models.llama.modeling_llama as home

    honest = home.rotate_half
    home.rotate_half = functools.wraps(honest)(lambda x: -honest(x))
    return lambda: setattr(home, "rotate_half", honest)


AROUND_A_CLASS = sorted(CHANGES.keys() - OTHERS)

# --- what moves no number ------------------------------------------------------------------------


@change()
def nothing(module):
    return lambda: None


@change()
def gradients_asked_for(module):
    for parameter in module.parameters():
        parameter.requires_grad_(not parameter.requires_grad)
    return lambda: [p.requires_grad_(True) for p in module.parameters()]


@change()
def another_text(module):
    module(input_ids=torch.arange(20, 44)[None])
    return lambda: None


@change()
def another_thread(module):
    def work():
        for _ in range(2):
            module(input_ids=torch.randint(16, 100, (1, 11)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return lambda: None


@change()
def hidden_states_asked_for(module):
    module(input_ids=torch.arange(20, 30)[None], output_hidden_states=True)
    return lambda: None


@change()
def equal_weights_loaded(module):
    module.load_state_dict(copy.deepcopy(module.state_dict()))
    return lambda: None


@change()
def dropout_that_eval_mode_leaves_out(module):
    return attribute(layer(module).self_attn, "attention_dropout", 0.5)


@change()
def settings_of_generation(module):
    module.generation_config.temperature = 0.5
    return attribute(module.config, "use_cache", not module.config.use_cache)


@change()
def a_function_of_torch_wrapped(_module):
    def wrapped(honest):
        return lambda *args, **kwargs: honest(*args, **kwargs)

    return function_of_torch(nn.functional, "silu", wrapped)


@change()
def a_mode_that_looks_on(_module):
    return entered(CountingBelow())


@change()
def eval_again(module):
    module.eval()
    return lambda: None
