"""The reference code's folders, read and compared with its forward passes, written again here from their description."""

import json
import pathlib
import pickle
import shutil

import numpy as np
import pytest
import torch
import yaml
from sae_lens import SAE
from torch.nn import functional as F

from ssae_lens import SSAE
from ssae_lens.sae.paper_checkpoints import reference_loader

D_IN, D_SAE, N = 10, 6, 40
NORMS = ["ln", "gn", "bn"]


def rand(*shape):
    return torch.randn(*shape)


def normalisation(norm, prefix):
    weights = {f"{prefix}.weight": 1 + 0.3 * rand(D_SAE), f"{prefix}.bias": rand(D_SAE)}
    if norm == "bn":
        weights[f"{prefix}.running_mean"] = rand(D_SAE)
        weights[f"{prefix}.running_var"] = rand(D_SAE).square() + 0.1
        weights[f"{prefix}.num_batches_tracked"] = torch.tensor(17)
    return weights


def v1_weights(norm):
    return {
        "encoder.weight": rand(D_SAE, D_IN),
        "encoder_bias": rand(D_SAE),
        "decoder.weight": rand(D_IN, D_SAE),
        "decoder_bias": rand(D_IN),
        **normalisation(norm, "encoder_ln"),
    }


def v2_weights(norm, input_norm=True):
    weights = {
        "encoder.weight": rand(D_SAE, D_IN),
        "encoder.bias": rand(D_SAE),
        "decoder.weight": rand(D_IN, D_SAE),
        "decoder.bias": rand(D_IN),
        **normalisation(norm, "enc_norm"),
    }
    if input_norm:
        weights |= {"input_norm.weight": 1 + 0.3 * rand(D_IN), "input_norm.bias": rand(D_IN)}
    return weights


def normalised(h, weights, prefix, norm):
    scale, offset = weights[f"{prefix}.weight"], weights[f"{prefix}.bias"]
    if norm == "ln":
        return F.layer_norm(h, (D_SAE,), scale, offset)
    if norm == "gn":
        return F.group_norm(h, 1, scale, offset)
    mean, variance = weights[f"{prefix}.running_mean"], weights[f"{prefix}.running_var"]
    return F.batch_norm(h, mean, variance, scale, offset, training=False)


def v1_forward(weights, norm, shifts):
    mean = shifts.mean(-1, keepdim=True)
    deviation = (shifts - mean).std(-1, keepdim=True)
    x = (shifts - mean) / (deviation + 1e-5)
    h = F.linear(x - weights["decoder_bias"], weights["encoder.weight"])
    h = normalised(h, weights, "encoder_ln", norm) + weights["encoder_bias"]
    return (F.linear(h, weights["decoder.weight"]) + weights["decoder_bias"]) * deviation + mean, h


def v2_forward(weights, norm, shifts):
    x = shifts
    if "input_norm.weight" in weights:
        x = F.layer_norm(x, (D_IN,), weights["input_norm.weight"], weights["input_norm.bias"])
    h = F.linear(x - weights["decoder.bias"], weights["encoder.weight"], weights["encoder.bias"])
    h = normalised(h, weights, "enc_norm", norm)
    return F.linear(h, weights["decoder.weight"], weights["decoder.bias"]), h


def zca(shifts, epsilon=1e-5):
    """Mean and matrix of ZCA whitening."""
    x = shifts.double().numpy()
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    return x.mean(0, keepdims=True), (vectors / np.sqrt(values + epsilon)) @ vectors.T


def write(folder, weights, stated, whitening=None, names=("weights.pth", "cfg.yaml")):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / names[0])
    (folder / names[1]).write_text(yaml.safe_dump(stated))
    if whitening is not None:
        np.savez(folder / "whitening_params.npz", mean=whitening[0], whitening_matrix=whitening[1], epsilon=1e-5)
    return folder


@pytest.fixture
def shifts():
    """Correlated shifts whose dimensions differ in scale and mean."""
    return rand(N, D_IN) @ rand(D_IN, D_IN) + rand(D_IN)


def same(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5 * expected.abs().max().item(), rtol=1e-5)


def assert_unit_rows(ssae):
    torch.testing.assert_close(ssae.W_dec.norm(dim=1), torch.ones(D_SAE))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("names", [("weights.pth", "cfg.yaml"), ("sparse_dict_model.pth", "model_config.yaml")])
def test_v1(tmp_path, shifts, norm, names):
    weights = v1_weights(norm)
    folder = write(tmp_path, weights, {"norm_type": norm, "num_concepts": D_SAE}, names=names)
    ssae = SSAE.load_from_disk(folder, converter=reference_loader)
    reconstructed, codes = v1_forward(weights, norm, shifts)
    same(ssae(shifts), reconstructed)
    same(ssae.encode(shifts), codes * weights["decoder.weight"].norm(dim=0))
    assert_unit_rows(ssae)
    assert ssae.cfg.normalize_activations == "layer_norm"
    assert ssae.cfg.metadata.reference["version"] == "v1"


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("input_norm", [True, False])
@pytest.mark.parametrize("whitened", [True, False])
def test_v2(tmp_path, shifts, norm, input_norm, whitened):
    weights = v2_weights(norm, input_norm)
    stated = {"norm": norm, "whiten": whitened, "skip_input_norm": not input_norm}
    whitening = zca(shifts) if whitened else None
    ssae = SSAE.load_from_disk(write(tmp_path, weights, stated, whitening), converter=reference_loader)
    if whitened:
        mean, matrix = (torch.from_numpy(each) for each in whitening)
        whitened_shifts = ((shifts.double() - mean) @ matrix).float()
        reconstructed, codes = v2_forward(weights, norm, whitened_shifts)
        reconstructed = (torch.linalg.solve(matrix.T, reconstructed.double().T).T + mean).float()
        rows = (weights["decoder.weight"].T.double() @ torch.linalg.inv(matrix)).float()
    else:
        reconstructed, codes = v2_forward(weights, norm, shifts)
        rows = weights["decoder.weight"].T
    same(ssae(shifts), reconstructed)
    same(ssae.encode(shifts), codes * rows.norm(dim=1))
    assert_unit_rows(ssae)
    torch.testing.assert_close(ssae.W_dec, rows / rows.norm(dim=1, keepdim=True), atol=1e-5, rtol=1e-4)
    assert ssae.cfg.metadata.reference["version"] == "v2"
    assert ssae.cfg.metadata.reference["cfg"] == stated


def test_what_was_converted_saves_and_loads_exactly(tmp_path, shifts):
    folder = write(tmp_path / "run", v2_weights("ln"), {"norm": "ln", "whiten": True}, zca(shifts))
    converted = SAE.load_from_disk(folder, converter=reference_loader)
    converted.save_model(tmp_path / "saved")
    loaded = SSAE.load_from_disk(tmp_path / "saved")
    assert torch.equal(loaded(shifts), converted(shifts))
    assert loaded.cfg == converted.cfg
    assert "whitened" in loaded.cfg.input_norm


def test_dtype_and_model_name(tmp_path, shifts):
    stated = {"norm": "bn", "seed": 3, "extra": {"model": "EleutherAI/pythia-70m", "rep_dim": D_IN}}
    folder = write(tmp_path, v2_weights("bn"), stated)
    ssae = SSAE.load_from_disk(folder, dtype="float64", converter=reference_loader)
    assert ssae.W_enc.dtype == torch.float64
    assert ssae.cfg.metadata.model_name == "EleutherAI/pythia-70m"
    assert ssae.cfg.metadata.reference["cfg"] == stated
    assert any("BatchNorm" in each for each in ssae.cfg.metadata.reference["folded"])


def test_whitening_beside_the_run_s_folder(tmp_path, shifts):
    """The reference code writes one file for all runs of a data set, a floor above the run."""
    weights, whitening = v2_weights("ln", input_norm=False), zca(shifts)
    inside = write(tmp_path / "a" / "run", weights, {"whiten": True}, whitening)
    outside = write(tmp_path / "b" / "run", weights, {"whiten": True})
    shutil.copy(inside / "whitening_params.npz", outside.parent)
    one, other = (SSAE.load_from_disk(folder, converter=reference_loader) for folder in (inside, outside))
    assert torch.equal(one(shifts), other(shifts))


class Malice:
    """What runs when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


class TestRefusals:
    @pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, 2))])
    def test_a_pickle_does_not_run(self, tmp_path, save):
        ran = tmp_path / "ran"
        folder = write(tmp_path / "run", {}, {})
        save({"encoder.weight": Malice(ran)}, folder / "weights.pth")
        with pytest.raises(ValueError, match=r"is not a file of tensors.*nothing in it was run") as error:
            SSAE.load_from_disk(folder, converter=reference_loader)
        assert "\n" not in str(error.value)
        assert not ran.exists()
        # The trap is a real one.
        pickle.loads(pickle.dumps(Malice(ran)))
        assert ran.exists()

    def test_a_pickled_whitening_does_not_run(self, tmp_path, shifts):
        ran = tmp_path / "ran"
        folder = write(tmp_path / "run", v2_weights("ln", input_norm=False), {"whiten": True})
        trap = np.array([Malice(ran)], dtype=object)
        np.savez(folder / "whitening_params.npz", mean=trap, whitening_matrix=trap, epsilon=1e-5)
        with pytest.raises(ValueError, match=r"whitening_params\.npz cannot be read as arrays"):
            SSAE.load_from_disk(folder, converter=reference_loader)
        assert not ran.exists()

    @pytest.mark.parametrize("content", [b"", b"no pickle", b"PK\x03\x04 cut"])
    def test_a_broken_file(self, tmp_path, content):
        folder = write(tmp_path, {}, {})
        (folder / "weights.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"weights\.pth") as error:
            SSAE.load_from_disk(folder, converter=reference_loader)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("held", [[1, 2], {"encoder.weight": 3}])
    def test_no_state_dict(self, tmp_path, held):
        with pytest.raises(ValueError, match="holds no state dict"):
            SSAE.load_from_disk(write(tmp_path, held, {}), converter=reference_loader)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"encoder2.weight": torch.ones(2)}, "nearest to v2.*encoder2.weight is unknown"),
            ({"enc_norm.bias": None}, "enc_norm.bias is missing"),
            ({"decoder.weight": torch.ones(D_SAE, D_IN)}, r"decoder.weight .* \(6, 10\).* must be \(10, 6\)"),
            ({"encoder.weight": torch.ones(3)}, r"encoder.weight .* \(3,\)"),
            ({"encoder.bias": torch.full((D_SAE,), torch.nan)}, "encoder.bias .* NaN"),
        ],
    )
    def test_weights(self, tmp_path, change, said):
        weights = {name: value for name, value in (v2_weights("ln") | change).items() if value is not None}
        with pytest.raises(ValueError, match=said) as error:
            SSAE.load_from_disk(write(tmp_path, weights, {}), converter=reference_loader)
        assert "\n" not in str(error.value)

    def test_the_model_between_v1_and_v2(self, tmp_path):
        """Its output was scaled by 1/std where it was standardised by 1/std: neither formula."""
        weights = {
            name.replace("enc_norm", "norm"): value for name, value in v2_weights("ln", input_norm=False).items()
        }
        with pytest.raises(ValueError, match=r"enc_norm\.bias is missing.*norm\.weight is unknown"):
            SSAE.load_from_disk(write(tmp_path, weights, {}), converter=reference_loader)

    @pytest.mark.parametrize(
        ("stated", "said"),
        [
            ({"norm": "bn"}, "normalised by 'bn', but its weights hold no batch statistics"),
            ({"skip_input_norm": True}, "skip_input_norm: True, which its weights contradict"),
        ],
    )
    def test_a_configuration_of_another_run(self, tmp_path, stated, said):
        with pytest.raises(ValueError, match=said):
            SSAE.load_from_disk(write(tmp_path, v2_weights("ln"), stated), converter=reference_loader)

    def test_whitening_that_contradicts(self, tmp_path, shifts):
        weights = v2_weights("ln", input_norm=False)
        with pytest.raises(FileNotFoundError, match="says whiten: true"):
            SSAE.load_from_disk(write(tmp_path / "a", weights, {"whiten": True}), converter=reference_loader)
        with pytest.raises(ValueError, match="says whiten: false but holds"):
            SSAE.load_from_disk(
                write(tmp_path / "b", weights, {"whiten": False}, zca(shifts)), converter=reference_loader
            )
        narrow = (np.zeros((1, 3)), np.eye(3))
        with pytest.raises(ValueError, match="width 10 and a whitening of width 3"):
            SSAE.load_from_disk(write(tmp_path / "c", weights, {}, narrow), converter=reference_loader)
        with pytest.raises(ValueError, match="of v1, which has no whitening"):
            SSAE.load_from_disk(write(tmp_path / "d", v1_weights("ln"), {}, zca(shifts)), converter=reference_loader)

    def test_whitening_that_cannot_be_undone(self, tmp_path):
        weights = v2_weights("ln", input_norm=False)
        for matrix, said in (
            (np.zeros((D_IN, D_IN)), "no inverse"),
            (np.full((D_IN, D_IN), np.nan), "NaN or infinite"),
        ):
            with pytest.raises(ValueError, match=said):
                SSAE.load_from_disk(
                    write(tmp_path, weights, {"whiten": True}, (np.zeros((1, D_IN)), matrix)),
                    converter=reference_loader,
                )

    def test_weights_that_make_others_not_finite(self, tmp_path):
        weights = v2_weights("bn") | {"enc_norm.running_var": torch.full((D_SAE,), -1.0)}
        with pytest.raises(ValueError, match=r"variance below zero in enc_norm\.running_var"):
            SSAE.load_from_disk(write(tmp_path, weights, {}), converter=reference_loader)
        weights = v2_weights("ln") | {"encoder.weight": torch.full((D_SAE, D_IN), 1e300, dtype=torch.float64)}
        with pytest.raises(ValueError, match="too large for float32"):
            SSAE.load_from_disk(write(tmp_path, weights, {}), converter=reference_loader)

    def test_a_few_bytes_that_stand_for_gigabytes(self, tmp_path):
        weights = v2_weights("ln") | {"encoder.weight": torch.zeros(1, 1).expand(40_000, 40_000)}
        with pytest.raises(ValueError, match="declares more numbers than are stored"):
            SSAE.load_from_disk(write(tmp_path, weights, {}), converter=reference_loader)

    def test_missing_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no folder"):
            SSAE.load_from_disk(tmp_path / "nowhere", converter=reference_loader)
        with pytest.raises(FileNotFoundError, match=r"weights\.pth"):
            SSAE.load_from_disk(tmp_path, converter=reference_loader)
        (write(tmp_path, v2_weights("ln"), {}) / "cfg.yaml").unlink()
        with pytest.raises(FileNotFoundError, match=r"cfg\.yaml"):
            SSAE.load_from_disk(tmp_path, converter=reference_loader)

    @pytest.mark.parametrize(
        "text",
        [
            "!!python/object/apply:os.getcwd []",
            "a: [",
            "- 1",
            "a: &a [x]\nb: [*a, *a]",
            "[" * 5000,
            "norm: ln\nnorm: bn",
            "2025-01-02: x",
        ],
    )
    def test_yaml(self, tmp_path, text):
        (write(tmp_path, v2_weights("ln"), {}) / "cfg.yaml").write_text(text)
        with pytest.raises(ValueError, match=r"cfg\.yaml"):
            SSAE.load_from_disk(tmp_path, converter=reference_loader)


def test_metadata_is_plain_json(tmp_path):
    folder = write(tmp_path, v2_weights("ln"), {"norm": "ln"})
    (folder / "cfg.yaml").write_text("norm: ln\nday: 2025-01-02\n3: x\n")
    ssae = SSAE.load_from_disk(folder, converter=reference_loader)
    assert json.loads(json.dumps(ssae.cfg.metadata.reference))["cfg"] == {"norm": "ln", "day": "2025-01-02", "3": "x"}
