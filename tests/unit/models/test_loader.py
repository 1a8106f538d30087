"""Loading: what is taken, what is refused, and that nothing in memory is touched."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import threading

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, T5Config, ViTConfig

from worldline.errors import InputError
from worldline.models import hub
from worldline.models.loader import load_model
from worldline.models.positions import context_length
from worldline.models.weights import weights_hash


def rewrite(folder, change):
    """Store changed weights in place of a folder's own."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


class TestFolder:
    def test_loads(self, tiny_folder, tiny_module, without_network):
        model = load_model(str(tiny_folder))
        assert (model.name, model.device, model.dtype) == (str(tiny_folder), "cpu", "float32")
        assert model.config["num_hidden_layers"] == 2
        assert not model.module.training
        assert model.weights_hash == weights_hash(tiny_module)
        ids = model.tokenizer("the the", return_tensors="pt")["input_ids"]
        assert torch.equal(model.module(ids).logits, tiny_module.eval()(ids).logits)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
    def test_dtype(self, tiny_folder, dtype):
        model = load_model(str(tiny_folder), dtype=dtype)
        assert model.dtype == dtype
        assert model.module.dtype == getattr(torch, dtype)

    def test_missing_tensor(self, tiny_folder):
        rewrite(tiny_folder, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
        with pytest.raises(InputError, match=r"weights are missing: model.layers.1.mlp.up_proj"):
            load_model(str(tiny_folder))

    @pytest.mark.parametrize(
        ("value", "kind"), [(float("nan"), "NaN"), (float("-inf"), "infinity")]
    )
    def test_nonfinite(self, tiny_folder, value, kind):
        def spoil(tensors):
            tensors["model.layers.0.self_attn.v_proj.weight"][3, 4] = value

        rewrite(tiny_folder, spoil)
        with pytest.raises(InputError, match=rf"model.layers.0.self_attn.v_proj.weight .*{kind}"):
            load_model(str(tiny_folder))

    def test_overflow_of_a_cast(self, tiny_folder):
        rewrite(tiny_folder, lambda tensors: tensors["lm_head.weight"].fill_(1e6))
        with pytest.raises(InputError, match=r"lm_head.weight .*float16.* holds infinity"):
            load_model(str(tiny_folder), dtype="float16")

    def test_wrong_shape(self, tiny_folder):
        rewrite(tiny_folder, lambda tensors: tensors.update({"lm_head.weight": torch.ones(3, 3)}))
        with pytest.raises(InputError, match="weights"):
            load_model(str(tiny_folder))

    def test_cut_off_file(self, tiny_folder):
        file = tiny_folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-1000])
        with pytest.raises(InputError, match=r"weights of model .* cannot be loaded"):
            load_model(str(tiny_folder))

    def test_no_configuration(self, tiny_folder, remove_files):
        remove_files(tiny_folder, "config.json")
        with pytest.raises(InputError, match=r"folder without a config\.json"):
            load_model(str(tiny_folder))

    def test_broken_configuration(self, tiny_folder):
        (tiny_folder / "config.json").write_text('{"model_type": ')
        with pytest.raises(InputError, match=r"config\.json is not JSON"):
            load_model(str(tiny_folder))

    def test_no_weights(self, tiny_folder, remove_files):
        remove_files(tiny_folder, "*.safetensors")
        with pytest.raises(InputError, match="folder without weights"):
            load_model(str(tiny_folder))

    def test_no_tokenizer(self, tiny_folder, remove_files):
        remove_files(tiny_folder, "tokenizer*", "special_tokens_map.json")
        with pytest.raises(InputError, match=r"has no (usable )?tokenizer"):
            load_model(str(tiny_folder))

    @pytest.mark.parametrize("config", [T5Config(), ViTConfig()])
    def test_other_kinds(self, tiny_folder, config):
        config.save_pretrained(tiny_folder)
        with pytest.raises(InputError, match=config.model_type):
            load_model(str(tiny_folder))

    def test_nothing_like_it(self, tiny_folder):
        (tiny_folder / "config.json").write_text(json.dumps({"model_type": "no-such-type"}))
        with pytest.raises(InputError, match="no-such-type"):
            load_model(str(tiny_folder))


class TestAskedForOnly:
    def test_pickle(self, tiny_folder, tiny_module, remove_files):
        remove_files(tiny_folder, "*.safetensors")
        torch.save(tiny_module.state_dict(), tiny_folder / "pytorch_model.bin")
        with pytest.raises(InputError, match=r"load_model\(..., allow_pickle=True\)"):
            load_model(str(tiny_folder))
        model = load_model(str(tiny_folder), allow_pickle=True)
        assert model.weights_hash == weights_hash(tiny_module)

    @pytest.mark.parametrize("kind", ["own-kind", "llama"])
    def test_remote_code(self, tiny_folder, tmp_path, kind):
        ran = tmp_path / "ran"
        (tiny_folder / "modeling_own.py").write_text(f"open({str(ran)!r}, 'w')\n")
        config = json.loads((tiny_folder / "config.json").read_text())
        config["model_type"] = kind
        config["auto_map"] = {
            "AutoConfig": "modeling_own.OwnConfig",
            "AutoModelForCausalLM": "modeling_own.Own",
        }
        (tiny_folder / "config.json").write_text(json.dumps(config))
        if kind == "llama":  # transformers has code for it, the folder's own is left alone
            assert load_model(str(tiny_folder)).module.__class__ is LlamaForCausalLM
        else:
            with pytest.raises(InputError, match=r"load_model\(..., trust_remote_code=True\)"):
                load_model(str(tiny_folder))
        assert not ran.exists()


class TestPair:
    def test_left_as_it_was_found(self, tiny_module, tiny_tokenizer):
        module = tiny_module.to(torch.bfloat16).train()
        module.model.layers[0].eval()
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        modes = [part.training for part in module.modules()]
        versions = [tensor._version for tensor in module.state_dict().values()]
        attributes = [set(vars(part)) for part in module.modules()]
        vocabulary = tiny_tokenizer.get_vocab()

        model = load_model((module, tiny_tokenizer))
        assert model.weights_hash

        assert model.module is module
        assert model.tokenizer is tiny_tokenizer
        assert model.dtype == "bfloat16"
        assert [part.training for part in module.modules()] == modes
        assert [tensor._version for tensor in module.state_dict().values()] == versions
        assert [set(vars(part)) for part in module.modules()] == attributes
        assert tiny_tokenizer.get_vocab() == vocabulary
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, before[name])

    def test_a_dtype_is_not_made(self, tiny_module, tiny_tokenizer):
        with pytest.raises(InputError, match="this one is float32"):
            load_model((tiny_module, tiny_tokenizer), dtype="float64")

    def test_nonfinite(self, tiny_module, tiny_tokenizer):
        with torch.no_grad():
            tiny_module.lm_head.weight[0, 0] = float("nan")
        with pytest.raises(InputError, match=r"lm_head\.weight"):
            load_model((tiny_module, tiny_tokenizer))

    def test_not_a_pair(self, tiny_module):
        with pytest.raises(InputError, match=r"\(torch module, tokenizer\)"):
            load_model(("tiny", tiny_module))


class TestSource:
    """What loads a model again: its name, as long as it is what that name loads."""

    def test_a_folder(self, tiny_folder):
        model = load_model(str(tiny_folder))
        model.module(torch.tensor([[1, 2]]))
        model.module.requires_grad_(False)
        assert model.source == str(tiny_folder)

    def test_a_model_made_from_a_type(self):
        assert load_model("tiny:llama").source == "tiny:llama"

    def test_a_pair_is_not_named_as_its_base(self, tiny_folder):
        model = load_model(str(tiny_folder))
        pair = load_model((model.module, model.tokenizer))
        assert pair.source is None
        assert pair.name == "LlamaForCausalLM in memory"

    @pytest.mark.parametrize("change", ["value", "part", "config", "parameter"])
    def test_a_change_after_loading(self, tiny_folder, change):
        model = load_model(str(tiny_folder))
        layer = model.module.model.layers[0]
        if change == "value":
            with torch.no_grad():
                layer.mlp.down_proj.weight[0, 0] += 1e-3
        elif change == "part":
            layer.mlp.act_fn = torch.nn.GELU()
        elif change == "config":
            model.module.config.rope_parameters["rope_theta"] = 1.0
        else:
            layer.mlp.down_proj.bias = torch.nn.Parameter(torch.zeros(32))
        assert model.source is None


@pytest.mark.usefixtures("own_cache")
class TestGguf:
    def test_loads(self, tiny_gguf, without_network):
        file = tiny_gguf("smollm")
        model = load_model(str(file))
        assert (model.dtype, model.name) == ("float32", str(file))
        assert model.tokenizer.tokenize("the\n\n2  3") == ["the", "ĊĊ", "2", "ĠĠ", "3"]

    def test_words_split_in_an_unknown_way_are_said(self, tiny_gguf):
        lines = []
        load_model(str(tiny_gguf("nobody-knows")), progress=lines.append)
        assert any('"nobody-knows", which is not known here' in line for line in lines)

    def test_known_ways_are_silent(self, tiny_gguf):
        lines = []
        model = load_model(str(tiny_gguf("gpt-2")), progress=lines.append)
        assert [line.split()[0] for line in lines] == ["reading", "loading"]
        assert model.tokenizer.tokenize("a\n\n2") == ["a", "Ċ", "Ċ", "2"]

    def test_not_a_gguf_file(self, tmp_path):
        file = tmp_path / "x.gguf"
        file.write_bytes(b"nothing of the kind" * 100)
        with pytest.raises(InputError, match="cannot be read"):
            load_model(str(file))

    def test_a_file_of_another_kind(self, tiny_folder):
        with pytest.raises(InputError, match=r"not a \.gguf file"):
            load_model(str(tiny_folder / "config.json"))


class TestNames:
    @pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere-x", "a/b/c", "", "a\\b"])
    def test_no_such_folder(self, name, without_network):
        with pytest.raises(InputError, match="no such folder"):
            load_model(name)

    def test_no_such_file(self, without_network):
        with pytest.raises(InputError, match="no such file"):
            load_model("nowhere.gguf")

    @pytest.mark.parametrize("name", ["we ird", "ü/ber", "who/what?"])
    def test_not_a_hub_id(self, name, without_network):
        with pytest.raises(InputError, match="nor a hub id"):
            load_model(name)

    def test_unknown_dtype(self, tiny_folder):
        with pytest.raises(InputError, match="float32, bfloat16, float16, float64"):
            load_model(str(tiny_folder), dtype="int8")

    def test_device_that_is_not_there(self, tiny_folder):
        with pytest.raises(InputError, match="here there is: cpu"):
            load_model(str(tiny_folder), device="tpu")


class TestHub:
    def test_no_name_resolution(self, monkeypatch):
        def refuse(*place, **options):
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        with pytest.raises(InputError, match="not a local folder, and the hub cannot be reached"):
            load_model("foo/bar")

    def test_a_host_that_never_answers(self, monkeypatch):
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            place(monkeypatch, listening.getsockname()[1])
            monkeypatch.setattr(hub, "_REQUEST_SECONDS", 0.2)
            with pytest.raises(InputError, match="cannot be reached"):
                load_model("foo/bar")

    def test_name_resolution_that_hangs(self, monkeypatch):
        release = threading.Event()

        def hang(*place, **options):
            release.wait(20)
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        monkeypatch.setattr(hub, "_DEADLINE_SECONDS", 0.2)
        try:
            with pytest.raises(InputError, match="no answer in 0 s"):
                load_model("foo/bar")
        finally:
            release.set()

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("RepoNotFound", "the hub has no such model"),
            ("GatedRepo", "was granted access"),
            ("EntryNotFound", "without a config.json"),
        ],
    )
    def test_the_hub_says_no(self, monkeypatch, code, reason):
        with answering(404 if code != "GatedRepo" else 403, code) as port:
            place(monkeypatch, port)
            with pytest.raises(InputError, match=reason):
                load_model("foo/bar")

    def test_offline_mode(self, monkeypatch, without_network):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(InputError, match="HF_HUB_OFFLINE"):
            load_model("foo/bar")

    def test_falls_back_on_what_was_downloaded(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: "/x/config.json")
        monkeypatch.setattr(hub, "_ask", lambda name: OSError("down"))
        lines = []
        assert hub.settle_hub("foo/bar", lines.append)
        assert "cannot be reached" in lines[-1]


def place(monkeypatch, port):
    """Let the hub be on this machine."""
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_url", lambda name, file: f"http://127.0.0.1:{port}/{name}/{file}"
    )


class answering:  # noqa: N801 - used like a function
    """A hub that always gives one answer."""

    def __init__(self, status, code):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_address[1]

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class TestWeightsHash:
    def test_is_its_definition(self, tiny_module):
        total = hashlib.sha256(b"worldline weights 1\n")
        for name, tensor in sorted(tiny_module.state_dict().items()):
            total.update(f"{name}\t{tensor.dtype}\t{list(tensor.shape)}\n".encode())
            raw = tensor.numpy().tobytes()
            for at in range(0, len(raw), 16 << 20):
                total.update(hashlib.blake2b(raw[at : at + (16 << 20)], digest_size=32).digest())
        assert weights_hash(tiny_module) == total.hexdigest()

    def test_seen_at_once(self, tiny_module, tiny_tokenizer):
        model = load_model((tiny_module, tiny_tokenizer))
        hashes = {model.weights_hash}
        weight = tiny_module.model.layers[1].self_attn.v_proj.weight
        with torch.no_grad():
            weight[0, 0] += 1  # through autograd's eyes
        hashes.add(model.weights_hash)
        weight.data[4:8] *= 2  # behind its back
        hashes.add(model.weights_hash)
        tiny_module.to(torch.bfloat16)
        hashes.add(model.weights_hash)
        tiny_module.lm_head.weight = torch.nn.Parameter(tiny_module.lm_head.weight.clone())
        hashes.add(model.weights_hash)
        assert len(hashes) == 4  # the copy has the same values

    def test_one_value_anywhere_changes_it(self, tiny_module):
        hashes = {weights_hash(tiny_module)}
        for tensor in tiny_module.state_dict().values():
            tensor.view(-1)[-1] += 1
            hashes.add(weights_hash(tiny_module))
        assert len(hashes) == 1 + len(tiny_module.state_dict())

    def test_strides_do_not_matter(self, tiny_module):
        before = weights_hash(tiny_module)
        weight = tiny_module.lm_head.weight
        weight.data = weight.data.T.contiguous().T
        assert not weight.is_contiguous()
        assert weights_hash(tiny_module) == before

    def test_bits_count_not_values(self, tiny_module):
        weight = tiny_module.lm_head.weight
        with torch.no_grad():
            weight[0, 0] = 0.0
            plus = weights_hash(tiny_module)
            weight[0, 0] = -0.0
        assert weights_hash(tiny_module) != plus


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"n_positions": 1024}, 1024),
        ({"text_config": {"max_position_embeddings": 8}}, 8),
        ({"max_position_embeddings": None}, None),
        ({"vocab_size": 5}, None),
    ],
)
def test_context_length(config, limit):
    assert context_length(config) == limit
