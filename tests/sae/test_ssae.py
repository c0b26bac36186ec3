"""The SSAE against the contract that SAELens's own architectures keep, and against its formulas."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sae_lens import SAE, SAETrainer, TrainingSAE
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY
from sae_lens.saes.sae import TrainStepInput

import ssae_lens
from ssae_lens import SSAE, SSAEConfig, TrainingSSAE, TrainingSSAEConfig
from ssae_lens import sae as sae_module

D_IN, D_SAE = 8, 6

SETTINGS = {
    "plain": {},
    "k": {"k": 2},
    "input layer": {"input_norm": "layer"},
    "input whitened": {"input_norm": "whitened_layer"},
    "code layer": {"code_norm": "layer"},
    "code group": {"code_norm": "group", "code_groups": 3, "k": 4},
    "layer_norm": {"normalize_activations": "layer_norm"},
    "pre-bias": {"apply_b_dec_to_input": True},
    "threshold": {"has_threshold": True},
}
everywhere = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())


def random_ssae(unit_rows=True, **settings):
    """An SSAE whose every weight is random, so that none can be forgotten unseen."""
    ssae = SSAE(SSAEConfig(d_in=D_IN, d_sae=D_SAE, **settings))
    with torch.no_grad():
        for weight in ssae.parameters():
            weight.normal_()
        if unit_rows:
            ssae.W_dec.div_(ssae.W_dec.norm(dim=1, keepdim=True))
    return ssae


def shifts(n=5):
    return 2 * torch.randn(n, D_IN) + 0.5


def by_hand(ssae, x):
    """Codes and reconstruction by the definition, in NumPy and in double precision."""
    w = {name: value.double().numpy() for name, value in ssae.state_dict().items()}
    cfg = ssae.cfg

    def standardised(rows, axis=-1):
        return (rows - rows.mean(axis, keepdims=True)) / np.sqrt(rows.var(axis, keepdims=True) + 1e-5)

    inputs = x.double().numpy()
    mean, deviation = 0.0, 1.0
    if cfg.normalize_activations == "layer_norm":
        mean, deviation = inputs.mean(-1, keepdims=True), inputs.std(-1, ddof=1, keepdims=True)
        inputs = (inputs - mean) / (deviation + 1e-5)
    if cfg.apply_b_dec_to_input:
        inputs = inputs - w["b_dec"]
    if cfg.input_norm == "whitened_layer":
        inputs = inputs @ w["W_in"] + w["b_in"]
    if cfg.input_norm != "none":
        inputs = standardised(inputs)
    codes = inputs @ w["W_enc"] + w["b_enc"]
    if cfg.code_norm != "none":
        groups = cfg.code_groups if cfg.code_norm == "group" else 1
        codes = standardised(codes.reshape(len(codes), groups, -1)).reshape(codes.shape)
        codes = codes * w["code_scale"] + w["code_offset"]
    if cfg.k is not None:
        smallest = np.argsort(np.abs(codes), axis=-1)[:, : cfg.d_sae - cfg.k]
        np.put_along_axis(codes, smallest, 0.0, axis=-1)
    if cfg.has_threshold:
        codes = np.where(np.abs(codes) > w["threshold"], codes, 0.0)
    return codes, (codes @ w["W_dec"] + w["b_dec"]) * deviation + mean


class TestFormulas:
    @everywhere
    def test_codes_and_reconstructions(self, settings):
        ssae, x = random_ssae(**settings), shifts()
        codes, reconstructed = by_hand(ssae, x)
        np.testing.assert_allclose(ssae.encode(x).detach(), codes, atol=2e-5)
        np.testing.assert_allclose(ssae(x).detach(), reconstructed, atol=5e-5)

    @everywhere
    def test_any_leading_dimensions(self, settings):
        ssae, x = random_ssae(**settings), shifts(6)
        torch.testing.assert_close(ssae(x.reshape(2, 3, D_IN)), ssae(x).reshape(2, 3, D_IN))
        torch.testing.assert_close(ssae(x[0]), ssae(x)[0])

    def test_codes_are_signed(self):
        codes = random_ssae().encode(shifts(50))
        assert (codes < 0).any()
        assert (codes > 0).any()

    @pytest.mark.parametrize("name", [name for name in SETTINGS if name != "layer_norm"])
    def test_a_row_of_the_decoder_is_a_steering_vector(self, name):
        ssae = random_ssae(**SETTINGS[name])
        torch.testing.assert_close(ssae.decode(torch.eye(D_SAE)) - ssae.b_dec, ssae.W_dec)

    def test_a_new_one_has_unit_rows_and_a_tied_encoder(self):
        ssae = SSAE(SSAEConfig(d_in=D_IN, d_sae=D_SAE))
        torch.testing.assert_close(ssae.W_dec.norm(dim=1), torch.ones(D_SAE))
        assert torch.equal(ssae.W_enc, ssae.W_dec.T)
        assert ssae.W_enc.is_contiguous()

    def test_from_weights(self):
        source = random_ssae()
        weights = {name: getattr(source, name) for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
        x = shifts()
        assert torch.equal(SSAE.from_weights(**weights)(x), source(x))
        bare = SSAE.from_weights(source.W_enc, source.W_dec, k=1)
        assert not bare.b_enc.any()
        assert not bare.b_dec.any()
        assert (bare.encode(x) != 0).sum(-1).tolist() == [1] * len(x)

    def test_from_weights_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"W_dec has shape \(3, 8\).*\(6, 8\)"):
            SSAE.from_weights(torch.zeros(8, 6), torch.zeros(3, 8))


class TestFolding:
    @everywhere
    @pytest.mark.parametrize("unit_rows", [True, False])
    def test_outputs_stay(self, settings, unit_rows):
        ssae, x = random_ssae(unit_rows, **settings), shifts()
        if ssae.cfg.k is not None and not unit_rows:
            with pytest.raises(ValueError, match=r"k=\d.*unit-norm rows"):
                ssae.fold_W_dec_norm()
            return
        before = ssae(x)
        ssae.fold_W_dec_norm()
        torch.testing.assert_close(ssae(x), before, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(ssae.W_dec.norm(dim=1), torch.ones(D_SAE))

    def test_a_refused_fold_changes_nothing(self):
        ssae = random_ssae(unit_rows=False, k=2)
        before = {name: value.clone() for name, value in ssae.state_dict().items()}
        with pytest.raises(ValueError, match="k=2"):
            ssae.fold_W_dec_norm()
        assert all(torch.equal(value, before[name]) for name, value in ssae.state_dict().items())


class TestFiles:
    @everywhere
    @pytest.mark.parametrize("load", [SAE.load_from_disk, SSAE.load_from_disk])
    def test_round_trip_is_exact(self, settings, load, tmp_path):
        ssae = random_ssae(**settings)
        ssae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
        ssae.cfg.metadata.pairs = {"name": "gender", "fingerprint": "0123"}
        ssae.save_model(tmp_path)
        loaded = load(tmp_path)
        assert type(loaded) is SSAE
        assert loaded.state_dict().keys() == ssae.state_dict().keys()
        for name, value in ssae.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name
        assert loaded.cfg == ssae.cfg
        x = shifts()
        assert torch.equal(loaded(x), ssae(x))

    def test_the_files_are_saelens_s_and_nothing_else_stays(self, tmp_path):
        weights, cfg = random_ssae().save_model(tmp_path / "new" / "folder")
        assert sorted(each.name for each in weights.parent.iterdir()) == ["cfg.json", "sae_weights.safetensors"]
        stated = json.loads(cfg.read_text())
        assert stated["architecture"] == "ssae"
        assert stated["metadata"]["sae_lens_version"]

    def test_a_save_that_fails_leaves_the_old_files(self, tmp_path, monkeypatch):
        old = random_ssae()
        old.save_model(tmp_path)
        broken = random_ssae()
        broken.cfg.metadata.unwritable = object()
        with pytest.raises(TypeError):
            broken.save_model(tmp_path)
        assert torch.equal(SSAE.load_from_disk(tmp_path).W_dec, old.W_dec)
        assert len(list(tmp_path.iterdir())) == 2

    def test_dtype_on_loading(self, tmp_path):
        ssae = random_ssae()
        ssae.save_model(tmp_path)
        loaded = SSAE.load_from_disk(tmp_path, dtype="float64")
        assert loaded.W_enc.dtype == torch.float64
        assert loaded.cfg.dtype == "float64"
        assert torch.equal(loaded.W_enc.float(), ssae.W_enc)

    def test_fold_on_loading(self, tmp_path):
        ssae, x = random_ssae(unit_rows=False), shifts()
        ssae.save_model(tmp_path)
        loaded = SSAE.load_from_disk(tmp_path, fold_W_dec_norm=True)
        torch.testing.assert_close(loaded.W_dec.norm(dim=1), torch.ones(D_SAE))
        torch.testing.assert_close(loaded(x), ssae(x), atol=2e-5, rtol=1e-5)

    @everywhere
    def test_from_dict_and_to_dict(self, settings):
        cfg = SSAEConfig(d_in=D_IN, d_sae=D_SAE, **settings)
        cfg.metadata.hook_name = "blocks.1.hook_resid_post"
        stated = json.loads(json.dumps(cfg.to_dict()))
        assert SSAEConfig.from_dict(stated) == cfg
        assert type(SAE.from_dict(stated)) is SSAE
        training = TrainingSSAEConfig(d_in=D_IN, d_sae=D_SAE, level=0.3, k=2)
        stated = json.loads(json.dumps(training.to_dict()))
        assert TrainingSSAEConfig.from_dict(stated) == training
        assert type(TrainingSAE.from_dict(stated)) is TrainingSSAE

    def test_origin(self):
        ssae = random_ssae()
        ssae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
        ssae.cfg.metadata.origin = {"position": "last", "model_class": "HookedTransformer"}
        assert ssae.origin.hook_name == "blocks.1.hook_resid_post"
        assert ssae.origin.d_model == D_IN
        assert ssae.origin.position == "last"


class TestMoves:
    @everywhere
    def test_dtypes(self, settings):
        ssae = random_ssae(**settings)
        before = ssae(shifts())
        for dtype in (torch.float64, torch.bfloat16):
            ssae.to(dtype)
            assert {value.dtype for value in ssae.parameters()} == {dtype}
            assert ssae(shifts().float()).dtype == dtype
            assert ssae.cfg.dtype == str(dtype).removeprefix("torch.")
        assert before.dtype == torch.float32

    @everywhere
    def test_meta_device(self, settings):
        ssae = SSAE(SSAEConfig(d_in=D_IN, d_sae=D_SAE, device="meta", **settings))
        assert {value.device.type for value in ssae.parameters()} == {"meta"}
        assert ssae.to("meta").cfg.device == "meta"
        assert TrainingSSAE(TrainingSSAEConfig(d_in=D_IN, d_sae=D_SAE, device="meta")).multiplier.device.type == "meta"


HOOKS = {"hook_sae_input", "hook_sae_acts_pre", "hook_sae_acts_post", "hook_sae_recons", "hook_sae_output"}


class TestHooks:
    @everywhere
    def test_run_with_cache(self, settings):
        ssae, x = random_ssae(**settings), shifts()
        output, cache = ssae.run_with_cache(x)
        assert set(cache) == HOOKS
        assert torch.equal(cache["hook_sae_input"], x)
        assert torch.equal(cache["hook_sae_acts_post"], ssae.encode(x))
        assert torch.equal(cache["hook_sae_output"], output)
        if ssae.cfg.code_norm == "none" and ssae.cfg.k is None and not ssae.cfg.has_threshold:
            assert torch.equal(cache["hook_sae_acts_pre"], cache["hook_sae_acts_post"])
        if ssae.cfg.normalize_activations == "none":
            assert torch.equal(cache["hook_sae_recons"], output)

    def test_the_error_term_closes_the_sum(self):
        ssae, x = random_ssae(), shifts()
        ssae._use_error_term = True
        output, cache = ssae.run_with_cache(x)
        assert set(cache) == HOOKS | {"hook_sae_error"}
        torch.testing.assert_close(output, x)
        torch.testing.assert_close(cache["hook_sae_recons"] + cache["hook_sae_error"], x)

    def test_editing_a_code_moves_along_its_row(self):
        ssae, x = random_ssae(), shifts()

        def add(codes, hook):
            codes[..., 3] += 2.5
            return codes

        edited = ssae.run_with_hooks(x, fwd_hooks=[("hook_sae_acts_post", add)])
        torch.testing.assert_close(edited - ssae(x), (2.5 * ssae.W_dec[3]).expand_as(x), atol=1e-5, rtol=0)

    def test_using_one_directly_does_not_warn(self):
        ssae = random_ssae()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ssae(shifts())
            ssae.encode(shifts())
            torch.nn.Sequential(ssae)(shifts())


class TestRegistration:
    def test_however_often(self):
        before = SAE_CLASS_REGISTRY["ssae"], SAE_TRAINING_CLASS_REGISTRY["ssae"]
        sae_module.register()
        sae_module.register()
        importlib.reload(ssae_lens)
        assert (SAE_CLASS_REGISTRY["ssae"], SAE_TRAINING_CLASS_REGISTRY["ssae"]) == before
        assert before == ((SSAE, SSAEConfig), (TrainingSSAE, TrainingSSAEConfig))

    @pytest.mark.slow
    def test_importing_adds_nothing_heavy(self):
        program = (
            "import sys, sae_lens; before = set(sys.modules); import ssae_lens; "
            "print(*{m.partition('.')[0] for m in set(sys.modules) - before})"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
        assert set(done.stdout.split()) & {"plotly", "datasets", "h5py", "pandas", "sklearn", "cooper", "gguf"} == set()
        assert "ssae_lens" in done.stdout.split()


class TestBadInput:
    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"d_sae": 0}, "d_sae is 0; it must be an integer of at least 1"),
            ({"d_in": 0}, "d_in is 0"),
            ({"d_sae": 2.0}, "d_sae is 2.0"),
            ({"k": 7}, "k is 7, more than d_sae=6"),
            ({"k": 0}, "k is 0"),
        ],
    )
    @pytest.mark.parametrize("config", [SSAEConfig, TrainingSSAEConfig])
    def test_widths(self, config, settings, said):
        with pytest.raises(ValueError, match=said):
            config(**{"d_in": D_IN, "d_sae": D_SAE} | settings)

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"input_norm": "batch"}, "input_norm is 'batch'; it must be one of 'none', 'layer'"),
            ({"code_norm": "layers"}, "code_norm is 'layers'.*Did you mean 'layer'"),
            ({"apply_b_dec_to_input": 0.5}, "apply_b_dec_to_input is 0.5; it must be True or False"),
            ({"apply_b_dec_to_input": {}}, "apply_b_dec_to_input is {}; it must be True or False"),
            ({"has_threshold": 1}, "has_threshold is 1; it must be True or False"),
            ({"code_norm": "group", "code_groups": 4}, "code_groups is 4, which does not divide d_sae=6"),
        ],
    )
    def test_settings(self, settings, said):
        with pytest.raises(ValueError, match=said):
            SSAEConfig(d_in=D_IN, d_sae=D_SAE, **settings)

    @pytest.mark.parametrize("settings", [{"level": 0}, {"level": float("nan")}, {"dual_lr": -1.0}])
    def test_training_settings(self, settings):
        name = next(iter(settings))
        with pytest.raises(ValueError, match=f"{name} is .* must be greater than 0"):
            TrainingSSAEConfig(d_in=D_IN, d_sae=D_SAE, **settings)

    def test_folders(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere"):
            SSAE.load_from_disk(tmp_path / "nowhere")
        with pytest.raises(FileNotFoundError, match=r"There is no file .*cfg\.json"):
            SSAE.load_from_disk(tmp_path)
        _, cfg = random_ssae().save_model(tmp_path)
        with pytest.raises(FileNotFoundError, match="is a file; a folder is expected"):
            SSAE.load_from_disk(cfg)
        (tmp_path / "sae_weights.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match=r"sae_weights\.safetensors"):
            SSAE.load_from_disk(tmp_path)

    def test_cfg_cut_short(self, tmp_path):
        _, cfg = random_ssae().save_model(tmp_path)
        cfg.write_text(cfg.read_text()[:40])
        with pytest.raises(ValueError, match=r"cfg\.json is not JSON at line 1"):
            SSAE.load_from_disk(tmp_path)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"architecture": "topk"}, "architecture 'topk', not 'ssae'"),
            ({"d_sae": 5}, r"W_dec has shape \(6, 8\).*\(5, 8\)"),
            ({"d_sae": 0}, "d_sae is 0"),
            ({"code_norm": "layer"}, "code_offset has shape none"),
            ({"has_threshold": True}, "threshold has shape none"),
            ({"cod_norm": "layer"}, "has 'cod_norm'.* Did you mean 'code_norm'"),
            ({"metadata": [1]}, "metadata of type list"),
            ({"d_in": None}, "d_in is None"),
        ],
    )
    def test_cfg_that_is_wrong(self, tmp_path, change, said):
        _, cfg = random_ssae().save_model(tmp_path)
        cfg.write_text(json.dumps(json.loads(cfg.read_text()) | change))
        with pytest.raises(ValueError, match=said) as error:
            SSAE.load_from_disk(tmp_path)
        assert "\n" not in str(error.value)

    def test_cfg_without_a_width(self, tmp_path):
        _, cfg = random_ssae().save_model(tmp_path)
        stated = json.loads(cfg.read_text())
        del stated["d_in"]
        cfg.write_text(json.dumps(stated))
        with pytest.raises(ValueError, match="does not give d_in"):
            SSAE.load_from_disk(tmp_path)

    def test_weights_cut_short(self, tmp_path):
        weights, _ = random_ssae().save_model(tmp_path)
        weights.write_bytes(weights.read_bytes()[:-20])
        with pytest.raises(ValueError, match="are damaged"):
            SSAE.load_from_disk(tmp_path)

    def test_a_training_folder(self, tmp_path):
        TrainingSSAE(TrainingSSAEConfig(d_in=D_IN, d_sae=D_SAE)).save_model(tmp_path)
        with pytest.raises(ValueError, match=r"loaded with TrainingSSAE\.load_from_disk"):
            SSAE.load_from_disk(tmp_path)
        assert type(TrainingSSAE.load_from_disk(tmp_path)) is TrainingSSAE


def training_ssae(**settings):
    return TrainingSSAE(TrainingSSAEConfig(**{"d_in": D_IN, "d_sae": D_SAE} | settings))


def step_input(x):
    return TrainStepInput(sae_in=x, coefficients={}, dead_neuron_mask=None, n_training_steps=0, is_logging_step=False)


class TestTraining:
    def test_gradients_are_tangent_and_rows_of_unit_length(self):
        ssae = training_ssae()
        with torch.no_grad():
            ssae.W_dec.mul_(3)
            ssae.W_enc.normal_()
        output = ssae.training_forward_pass(step_input(shifts(20)))
        output.loss.backward()
        torch.testing.assert_close(ssae.W_dec.norm(dim=1), torch.ones(D_SAE))
        assert ssae.W_dec.grad.norm() > 1
        torch.testing.assert_close((ssae.W_dec * ssae.W_dec.grad).sum(1), torch.zeros(D_SAE), atol=1e-4, rtol=0)

    def test_the_tangent_gradient_is_that_of_the_normalised_rows(self):
        """Projecting at unit rows is differentiating through the normalisation."""
        ssae, x = training_ssae(level=None), shifts(20)
        codes = torch.randn(20, D_SAE)
        (ssae.decode(codes) - x).square().sum().backward()
        rows = ssae.W_dec.detach().clone().requires_grad_()
        (codes @ (rows / rows.norm(dim=1, keepdim=True)) + ssae.b_dec.detach() - x).square().sum().backward()
        torch.testing.assert_close(ssae.W_dec.grad, rows.grad, atol=1e-4, rtol=1e-4)

    def test_loss_and_multiplier_by_hand(self):
        ssae, x = training_ssae(level=0.5, dual_lr=0.1), shifts(20)
        first, second = (ssae.training_forward_pass(step_input(x)) for _ in range(2))
        codes = x @ ssae.W_enc + ssae.b_enc
        violation = codes.abs().mean() / 0.5 - 1
        energy = x.square().sum(1).mean()
        error = (codes @ ssae.W_dec + ssae.b_dec - x).square().sum(1).mean()
        torch.testing.assert_close(second.losses["mse_loss"], error)
        for step, output in enumerate((first, second), start=1):
            multiplier = step * 0.1 * energy * violation
            torch.testing.assert_close(output.metrics["multiplier"], multiplier)
            torch.testing.assert_close(output.loss, error + multiplier * violation)

    def test_a_slack_bound_costs_nothing(self):
        ssae = training_ssae(level=1e6)
        output = ssae.training_forward_pass(step_input(shifts()))
        assert ssae.multiplier == 0
        assert output.loss == output.losses["mse_loss"]
        assert "sparsity_loss" not in training_ssae(level=None).training_forward_pass(step_input(shifts())).losses

    @pytest.mark.parametrize("k", [None, 2])
    @pytest.mark.parametrize("settings", [{}, {"normalize_activations": "layer_norm"}, {"apply_b_dec_to_input": True}])
    def test_save_inference_model(self, tmp_path, k, settings):
        ssae, x = training_ssae(k=k, **settings), shifts()
        with torch.no_grad():
            for weight in ssae.parameters():
                weight.normal_()
            if k is not None:
                # Which codes are the k largest is settled with rows of unit length, as every training step sees them.
                ssae.W_dec.div_(ssae.get_W_dec_norm()[:, None])
        ssae.save_inference_model(tmp_path)
        loaded = SSAE.load_from_disk(tmp_path)
        torch.testing.assert_close(loaded(x), ssae(x), atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(loaded.W_dec.norm(dim=1), torch.ones(D_SAE))
        assert loaded.cfg.k == k
        assert "multiplier" not in loaded.state_dict()
        assert loaded.cfg.metadata.training_architecture_details["level"] == 0.1


class World:
    """Shifts made of a few signed, unit directions at once: an easy world to recover them from."""

    def __init__(self, batch=256):
        draw = torch.Generator().manual_seed(1)
        self.rows = torch.linalg.qr(torch.randn(D_IN, D_IN, generator=draw))[0][:D_SAE]
        self.draw, self.batch = draw, batch

    def __iter__(self):
        return self

    def __next__(self):
        codes = torch.randn(self.batch, D_SAE, generator=self.draw)
        present = torch.rand(self.batch, D_SAE, generator=self.draw) < 0.2
        return (codes * present) @ self.rows


def trainer_of(ssae, world, steps, folder=None, checkpoints=0):
    cfg = SAETrainerConfig(
        total_training_samples=steps * world.batch,
        train_batch_size_samples=world.batch,
        lr=1e-2,
        lr_end=1e-2,
        n_checkpoints=checkpoints,
        checkpoint_path=str(folder) if folder else None,
        logger=LoggingConfig(log_to_wandb=False),
    )
    return SAETrainer(cfg, ssae, world)


class TestSAETrainer:
    LEVEL = 0.12

    @pytest.fixture(autouse=True)
    def _one_thread(self):
        # Steps this small cost more to share between threads than to take.
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    def test_it_learns_the_directions_within_the_level(self):
        torch.manual_seed(0)
        world, ssae = World(), training_ssae(level=self.LEVEL)
        first = ssae.training_forward_pass(step_input(next(world))).losses["mse_loss"].item()
        trainer_of(ssae, world, 300).fit()
        with torch.no_grad():
            x = next(World(batch=20_000))
            last = ssae.training_forward_pass(step_input(x)).losses["mse_loss"].item()
            mean_code = ssae.encode(x).abs().mean().item()
        assert last < first / 2
        assert 0.95 * self.LEVEL < mean_code < 1.05 * self.LEVEL
        cosines = (ssae.W_dec @ world.rows.T).abs()
        assert cosines.max(dim=0).values.min() > 0.95
        assert cosines.argmax(dim=0).unique().numel() == D_SAE

    def test_a_checkpoint_resumes_to_the_same_weights(self, tmp_path):
        straight = training_ssae(level=self.LEVEL)
        start = {name: value.clone() for name, value in straight.state_dict().items()}
        trainer_of(straight, World(), 40).fit()

        stopped = training_ssae(level=self.LEVEL)
        stopped.load_state_dict(start)
        world = World()
        trainer = trainer_of(stopped, world, 20)
        trainer.fit()
        trainer.save_checkpoint("half", base_path=tmp_path)

        resumed = training_ssae(level=self.LEVEL)
        resumed.load_weights_from_checkpoint(tmp_path / "half")
        assert resumed.multiplier == stopped.multiplier > 0
        trainer = trainer_of(resumed, world, 40)
        trainer.load_trainer_state(tmp_path / "half")
        trainer.fit()
        for name, value in straight.state_dict().items():
            torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)


class TestDamage:
    """What was not saved as it stands on the disk is refused by name, and two files of two SSAEs are never one."""

    def saved(self, folder, seed):
        torch.manual_seed(seed)
        ssae = random_ssae()
        ssae.save_model(folder, overwrite=True)
        return ssae

    @pytest.mark.parametrize("name", ["sae_weights.safetensors", "cfg.json"])
    def test_a_flipped_bit_is_refused_by_name(self, tmp_path, name):
        """Only the word that the checksum is found by may be lost: then there is a note, and nothing else has changed."""
        ssae = self.saved(tmp_path, 0)
        file = tmp_path / name
        whole = file.read_bytes()
        start = 8 + int.from_bytes(whole[:8], "little") if name != "cfg.json" else 0
        for place in range(start, len(whole), 7):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << place % 8
            file.write_bytes(flipped)
            if b"checksum" in whole and b"checksum" not in flipped:
                with pytest.warns(UserWarning, match="carries no checksum"):
                    assert torch.equal(SSAE.load_from_disk(tmp_path).W_dec, ssae.W_dec)
                continue
            with pytest.raises(ValueError, match=re.escape(name)):
                SSAE.load_from_disk(tmp_path)

    def test_a_flipped_bit_is_refused_by_saelens_too(self, tmp_path):
        self.saved(tmp_path, 0)
        file = tmp_path / "sae_weights.safetensors"
        flipped = bytearray(file.read_bytes())
        flipped[-3] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(ValueError, match="do not match the checksum"):
            SAE.load_from_disk(tmp_path)

    def test_weights_of_one_with_the_configuration_of_another(self, tmp_path):
        self.saved(tmp_path / "a", 0)
        self.saved(tmp_path / "b", 1)
        shutil.copy(tmp_path / "b" / "sae_weights.safetensors", tmp_path / "a")
        with pytest.raises(ValueError, match=r"sae_weights\.safetensors is damaged or of another SSAE"):
            SSAE.load_from_disk(tmp_path / "a")

    @pytest.mark.parametrize("moves", [0, 1])
    def test_killed_between_the_two_files(self, tmp_path, monkeypatch, moves):
        self.saved(tmp_path, 0)
        replace, left = Path.replace, [moves]

        def dying(path, target):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return replace(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", dying)
            with pytest.raises(KeyboardInterrupt):
                self.saved(tmp_path, 1)
        torch.manual_seed(1)
        assert torch.equal(SSAE.load_from_disk(tmp_path).W_dec, random_ssae().W_dec)

    def test_a_reader_during_writes_sees_one_of_them(self, tmp_path):
        versions = [self.saved(tmp_path, seed) for seed in (0, 1)]
        code = """
import sys, warnings
import torch
from ssae_lens.sae import SSAE
warnings.simplefilter("ignore")
ssaes = [SSAE.load_from_disk(path) for path in sys.argv[1:3]]
print("ready", flush=True)
for count in range(150):
    ssaes[count % 2].save_model(sys.argv[3], overwrite=True)
"""
        for number, each in enumerate(versions):
            each.save_model(tmp_path / str(number))
        arguments = [tmp_path / "0", tmp_path / "1", tmp_path / "now"]
        versions[0].save_model(tmp_path / "now")
        writer = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "ready\n"
        seen = []
        while writer.poll() is None or not seen:
            found = SSAE.load_from_disk(tmp_path / "now")
            matches = [
                all(torch.equal(getattr(found, name), getattr(each, name)) for name in ("W_enc", "W_dec"))
                for each in versions
            ]
            seen.append(matches.index(True))
        assert writer.returncode == 0

    def test_another_ssae_is_replaced_only_when_told(self, tmp_path):
        first = self.saved(tmp_path, 0)
        first.save_model(tmp_path)  # the same is no loss
        torch.manual_seed(1)
        second = random_ssae()
        with pytest.raises(FileExistsError, match=r"cfg\.json exists already: the folder holds another SSAE"):
            second.save_model(tmp_path)
        assert torch.equal(SSAE.load_from_disk(tmp_path).W_dec, first.W_dec)
        assert len(list(tmp_path.iterdir())) == 2
        second.save_model(tmp_path, overwrite=True)
        assert torch.equal(SSAE.load_from_disk(tmp_path).W_dec, second.W_dec)

    def test_one_of_version_0_1_0_loads_with_a_note(self, tmp_path):
        ssae = self.saved(tmp_path, 0)
        cfg = json.loads((tmp_path / "cfg.json").read_text())
        del cfg["metadata"]["checksum"]
        (tmp_path / "cfg.json").write_text(json.dumps(cfg))
        with pytest.warns(UserWarning, match=r"carries no checksum .*0\.1\.0"):
            loaded = SSAE.load_from_disk(tmp_path)
        assert torch.equal(loaded.W_dec, ssae.W_dec)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"sae_lens_version": "six"}, "sae_lens_version 'six'"),
            ({"sae_lens_version": 6}, "sae_lens_version 6"),
            ({"origin": [1]}, "metadata.origin of type list"),
            ({"origin": {"hook_name": ["h"]}}, "cfg.json cannot be used: 'hook_name' is of type list"),
            ({"origin": {"d_model": "4"}}, "cfg.json cannot be used: 'd_model' is of type str"),
            ({"checksum": "x"}, "metadata.checksum of type str"),
        ],
    )
    def test_metadata_that_is_wrong(self, tmp_path, change, said):
        self.saved(tmp_path, 0)
        cfg = json.loads((tmp_path / "cfg.json").read_text())
        cfg["metadata"] |= change
        (tmp_path / "cfg.json").write_text(json.dumps(cfg))
        with pytest.raises(ValueError, match=said):
            SSAE.load_from_disk(tmp_path)
