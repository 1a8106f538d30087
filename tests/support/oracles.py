"""Tiny transformers models beside their NumPy reference: each family's weights as a Decoder.

transformers takes norms, softmax and rotary angles in float32 even in a float64 model. `Float64`
turns those casts off, and then the two must agree to 1e-9; untouched, the model agrees to the
rounding of float32 only.
"""

from __future__ import annotations

import torch
import transformers as hf
from torch.overrides import TorchFunctionMode

from reference import Decoder, Layer, Norm

SIZES = {
    "vocab_size": 11,
    "hidden_size": 16,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}
GROUPED = {**SIZES, "num_key_value_heads": 2, "head_dim": 6}
WINDOWS = {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]}


class Float64(TorchFunctionMode):
    """Every cast to float32 is a cast to float64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.float:
            return args[0].double()
        args = [torch.float64 if a is torch.float32 else a for a in args]
        kwargs = {k: torch.float64 if a is torch.float32 else a for k, a in (kwargs or {}).items()}
        return func(*args, **kwargs)


def array(tensor):
    return tensor.detach().double().numpy()


def heads_in(linear, n):
    """A projection into heads: W [head, d_model, d_head], b [head, d_head]."""
    W = array(linear.weight)
    b = None if linear.bias is None else array(linear.bias).reshape(n, -1)
    return W.reshape(n, -1, W.shape[1]).swapaxes(1, 2), b


def attention(q, k, v, o, n_heads, n_kv_heads):
    weights = {}
    for name, linear, n in (("Q", q, n_heads), ("K", k, n_kv_heads), ("V", v, n_kv_heads)):
        weights["W_" + name], weights["b_" + name] = heads_in(linear, n)
    weights["W_O"] = array(o.weight).T.reshape(n_heads, -1, o.weight.shape[0])
    weights["b_O"] = o.bias
    return weights


def layer_of(weights, linears, **parts):
    """`linears`: MLP matrices by name; all that is None is left out."""
    for name, linear in linears.items():
        weights["W_" + name], weights["b_" + name] = array(linear.weight).T, linear.bias
    arrays = {k: array(w) if isinstance(w, torch.Tensor) else w for k, w in weights.items()}
    return Layer({k: w for k, w in arrays.items() if w is not None}, **parts)


def norm_of(module, kind="rms", plus=0.0):
    bias = getattr(module, "bias", None)
    eps = next(getattr(module, n) for n in ("eps", "variance_epsilon") if hasattr(module, n))
    return Norm(kind, plus + array(module.weight), 0.0 if bias is None else array(bias), eps)


def llama_like(model, norm=norm_of, mlp=None, **options):
    """Llama and its relatives; `mlp(module)` gives the weights of another kind of MLP."""
    c, layers = model.config, []
    for block in model.model.layers:
        a, n_kv = block.self_attn, c.num_key_value_heads
        weights = attention(a.q_proj, a.k_proj, a.v_proj, a.o_proj, c.num_attention_heads, n_kv)
        parts = {"window": getattr(a, "sliding_window", None)}
        linears = {}
        if mlp is None:
            m = block.mlp
            linears = {"gate": m.gate_proj, "in": m.up_proj, "out": m.down_proj}
        else:
            weights |= mlp(block.mlp) | {"sinks": a.sinks}
        if hasattr(block, "pre_feedforward_layernorm"):
            parts["ln1_post"] = norm(block.post_attention_layernorm)
            parts["ln2"] = norm(block.pre_feedforward_layernorm)
            parts["ln2_post"] = norm(block.post_feedforward_layernorm)
        else:  # Cohere has one norm
            second = getattr(block, "post_attention_layernorm", block.input_layernorm)
            parts["ln2"] = norm(second)
        layers.append(layer_of(weights, linears, ln1=norm(block.input_layernorm), **parts))
    W_E, W_U = array(model.model.embed_tokens.weight), array(model.lm_head.weight).T
    options = {"rope_base": c.rope_parameters["rope_theta"], **options}
    W_E, W_U = W_E * options.pop("embed_scale", 1.0), W_U * options.pop("logit_scale", 1.0)
    return Decoder(W_E, layers, norm(model.model.norm), W_U, **options)


def llama():
    config = hf.LlamaConfig(**GROUPED, rope_parameters={"rope_type": "default", "rope_theta": 50.0})
    return config, llama_like


def llama_biased():
    return hf.LlamaConfig(**GROUPED, attention_bias=True, mlp_bias=True), llama_like


def qwen2():
    config = hf.Qwen2Config(**{**GROUPED, "head_dim": 4}, tie_word_embeddings=True)
    return config, llama_like


def gemma2():
    config = hf.Gemma2Config(
        **GROUPED,
        **WINDOWS,
        query_pre_attn_scalar=10,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
    )

    def convert(model):
        return llama_like(
            model,
            norm=lambda module: norm_of(module, plus=1.0),
            act="gelu_tanh",
            attn_scale=10**-0.5,
            attn_softcap=2.0,
            final_softcap=3.0,
            embed_scale=16**0.5,
        )

    return config, convert


def granite():
    config = hf.GraniteConfig(
        **{k: v for k, v in GROUPED.items() if k != "head_dim"},
        embedding_multiplier=3.0,
        attention_multiplier=0.4,
        residual_multiplier=0.3,
        logits_scaling=2.0,
    )
    options = {"embed_scale": 3.0, "attn_scale": 0.4, "residual_multiplier": 0.3}
    return config, lambda model: llama_like(model, logit_scale=0.5, **options)


def cohere():
    sizes = {k: v for k, v in GROUPED.items() if k != "head_dim"}
    config = hf.CohereConfig(**sizes, logit_scale=0.25, pad_token_id=0, eos_token_id=1)

    def convert(model):
        return llama_like(
            model,
            norm=lambda module: norm_of(module, "layer"),
            parallel=True,
            rope_interleaved=True,
            logit_scale=0.25,
        )

    return config, convert


def gpt_oss():
    """Sinks; with one expert, always chosen, the mixture is a plain gated MLP with (1 + up)."""
    config = hf.GptOssConfig(
        **GROUPED,
        **WINDOWS,
        num_local_experts=1,
        num_experts_per_tok=1,
        swiglu_limit=1e9,
        rope_parameters={"rope_type": "default", "rope_theta": 50.0},
    )

    def mlp(module):
        both, bias = (
            array(module.experts.gate_up_proj[0]),
            array(module.experts.gate_up_proj_bias[0]),
        )
        return {
            "W_gate": both[:, ::2],
            "b_gate": bias[::2],
            "W_in": both[:, 1::2],
            "b_in": 1.0 + bias[1::2],
            "W_out": module.experts.down_proj[0],
            "b_out": module.experts.down_proj_bias[0],
        }

    return config, lambda model: llama_like(model, mlp=mlp, act="quick_gelu")


def gpt_neox(parallel=True):
    config = hf.GPTNeoXConfig(
        **SIZES,
        use_parallel_residual=parallel,
        rope_parameters={"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 0.5},
    )

    def convert(model):
        layers = []
        for block in model.gpt_neox.layers:
            W, b = heads_in(block.attention.query_key_value, 4)  # [head, d_model, 3 * d_head]
            weights = {"W_O": array(block.attention.dense.weight).T.reshape(4, 4, 16)}
            weights["b_O"] = block.attention.dense.bias
            for n, name in enumerate("QKV"):
                weights["W_" + name] = W[:, :, 4 * n : 4 * n + 4]
                weights["b_" + name] = b[:, 4 * n : 4 * n + 4]
            linears = {"in": block.mlp.dense_h_to_4h, "out": block.mlp.dense_4h_to_h}
            ln1 = norm_of(block.input_layernorm, "layer")
            ln2 = norm_of(block.post_attention_layernorm, "layer")
            layers.append(layer_of(weights, linears, ln1=ln1, ln2=ln2))
        return Decoder(
            array(model.gpt_neox.embed_in.weight),
            layers,
            norm_of(model.gpt_neox.final_layer_norm, "layer"),
            array(model.get_output_embeddings().weight).T,
            rope_base=50.0,
            rope_dim=2,
            act="gelu",
            parallel=parallel,
        )

    return config, convert


def opt():
    sizes = {k: v for k, v in SIZES.items() if k != "intermediate_size"}
    config = hf.OPTConfig(**sizes, ffn_dim=12, word_embed_proj_dim=16)

    def convert(model):
        decoder, layers = model.model.decoder, []
        for block in decoder.layers:
            a = block.self_attn
            weights = attention(a.q_proj, a.k_proj, a.v_proj, a.out_proj, 4, 4)
            ln1 = norm_of(block.self_attn_layer_norm, "layer")
            ln2 = norm_of(block.final_layer_norm, "layer")
            linears = {"in": block.fc1, "out": block.fc2}
            layers.append(layer_of(weights, linears, ln1=ln1, ln2=ln2))
        return Decoder(
            array(decoder.embed_tokens.weight),
            layers,
            norm_of(decoder.final_layer_norm, "layer"),
            array(model.lm_head.weight).T,
            W_pos=array(decoder.embed_positions.weight)[2:],
            act="relu",
        )

    return config, convert


FAMILIES = {
    "llama": llama,
    "llama_biased": llama_biased,
    "qwen2": qwen2,
    "gemma2": gemma2,
    "granite": granite,
    "cohere": cohere,
    "gpt_oss": gpt_oss,
    "gpt_neox": gpt_neox,
    "gpt_neox_sequential": lambda: gpt_neox(parallel=False),
    "opt": opt,
}


def witness_of(family, change=None):
    """A tiny random model of a family, every parameter drawn anew, and its Decoder.

    `change` may alter a parameter, given its name; the two share the memory of some.
    """
    config, convert = FAMILIES[family]()
    torch.manual_seed(0)
    with Float64():
        model = hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").double()
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_scale = "norm" in name and name.endswith("weight")
            parameter.normal_(1.0 if is_scale else 0.0, 0.4)
            if change is not None:
                change(name, parameter)
    return model.eval(), convert(model)
