"""Readers of binary files: HDF5, safetensors, GGUF, and what torch.save and numpy.savez write."""

import io
import json
import pickle
import zipfile

import numpy as np

from .engine import Target
from .mutate import mutated_bytes, mutated_json
from .texts import HOOK, YAML_TOKENS, json_of, text_of

D = 4


def bytes_of(*names):
    """Return a mutation of the bytes of one of some files."""

    def mutate(rng, files):
        name = rng.choice(names)
        return {**files, name: mutated_bytes(rng, files[name])}

    return mutate


def safetensors_of(name):
    """Return a mutation of the header of a safetensors file, of a JSON text in it, or of its bytes."""

    def mutate(rng, files):
        data = files[name]
        size = int.from_bytes(data[:8], "little")
        header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
        kind = rng.random()
        if kind < 0.35 and "about" in header.get("__metadata__", {}):
            header["__metadata__"]["about"] = mutated_json(rng, json.loads(header["__metadata__"]["about"]))
            text = json.dumps(header)
        elif kind < 0.7:
            text = mutated_json(rng, header)
        else:
            return {**files, name: mutated_bytes(rng, data)}
        text = text.encode("utf-8", "surrogatepass")
        return {**files, name: len(text).to_bytes(8, "little") + text + rest}

    return mutate


def zip_of(name, others):
    """Return a mutation of a zip archive: of one member, of its members, or of its bytes; or another file altogether."""

    def mutate(rng, files):
        kind = rng.random()
        if kind < 0.15:
            return {**files, name: rng.choice(others())}
        if kind < 0.4:
            return {**files, name: mutated_bytes(rng, files[name])}
        with zipfile.ZipFile(io.BytesIO(files[name])) as archive:
            members = {each: archive.read(each) for each in archive.namelist()}
        chosen = rng.choice(list(members))
        change = rng.randrange(5)
        if change == 0:
            del members[chosen]
        elif change == 1:
            members[rng.choice((chosen + "x", "../" + chosen))] = members.pop(chosen)
        else:
            members[chosen] = mutated_bytes(rng, members[chosen])
        return {**files, name: _zipped(members, rng.choice((0, 0, 0, zipfile.ZIP_DEFLATED)))}

    return mutate


def _zipped(members, compression=0):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return made.getvalue()


class _Trap:
    """What makes a file when it is unpickled."""

    def __reduce__(self):
        return open, ("canary", "w")


def _other_weights():
    import torch

    values = (
        {"encoder.weight": _Trap()},
        _Trap(),
        {"encoder.weight": torch.zeros(1).expand(1 << 40)},
        {"encoder.weight": torch.zeros(1, 1).expand(40_000, 40_000)},
        {"encoder.weight": torch.eye(3).to_sparse()},
        {"encoder.weight": torch.empty(3, 3, device="meta")},
        {"encoder.weight": torch.zeros(3, dtype=torch.complex64)},
        {"encoder.weight": [1, 2]},
        [],
        {},
        {3: torch.zeros(2)},
        torch.zeros(3),
        {f"{i}": torch.zeros(2) for i in range(50)},
    )
    made = []
    for value in values:
        for old in (True, False):
            file = io.BytesIO()
            try:
                torch.save(value, file, _use_new_zipfile_serialization=old)
            except (NotImplementedError, RuntimeError):
                continue
            made.append(file.getvalue())
    return [*made, pickle.dumps({"encoder.weight": _Trap()}), b"", b"PK\x05\x06" + bytes(18)]


def _other_arrays():
    made = [b"", pickle.dumps(_Trap()), b"PK\x05\x06" + bytes(18)]
    for arrays in (
        {"mean": np.array([_Trap()], dtype=object)},
        {"mean": np.zeros(4_000_000), "whitening_matrix": np.eye(2), "epsilon": 1},
        {"mean": np.zeros(D), "whitening_matrix": np.zeros((D, D)), "epsilon": 1},
        {"mean": np.array(["a"]), "whitening_matrix": np.eye(D), "epsilon": 1},
    ):
        for save in (np.savez, np.savez_compressed):
            file = io.BytesIO()
            save(file, **arrays)
            made.append(file.getvalue())
    return made


def once(make):
    """Return a function that makes something the first time and then keeps it."""
    kept = []

    def made():
        if not kept:
            kept.append(make())
        return kept[0]

    return made


def _reference_folder(folder):
    import torch

    rng = np.random.default_rng(0)
    weights = {
        "encoder.weight": torch.tensor(rng.normal(size=(3, D)), dtype=torch.float32),
        "encoder.bias": torch.ones(3),
        "decoder.weight": torch.tensor(rng.normal(size=(D, 3)), dtype=torch.float32),
        "decoder.bias": torch.ones(D),
        "enc_norm.weight": torch.ones(3),
        "enc_norm.bias": torch.ones(3),
    }
    torch.save(weights, folder / "weights.pth")
    (folder / "cfg.yaml").write_text(
        "norm: ln\nwhiten: true\nskip_input_norm: true\nseed: 3\nextra:\n  model: m\n  list: [1]\n"
    )
    np.savez(folder / "whitening_params.npz", mean=np.zeros((1, D)), whitening_matrix=np.eye(D), epsilon=1e-5)


def _load_reference_folder(folder):
    from ssae_lens import SSAE
    from ssae_lens.sae.paper_checkpoints import reference_loader

    SSAE.load_from_disk(folder, converter=reference_loader)


def _ssae(folder):
    import torch
    from sae_lens.saes.sae import SAEMetadata

    from ssae_lens import SSAE

    metadata = {
        "model_name": "m",
        "hook_name": HOOK,
        "origin": {"hook_name": HOOK, "d_model": D, "model_name": "m", "processing": {"fold_ln": True}},
        "training": {"message": "done", "seed": 0},
    }
    SSAE.from_weights(torch.eye(D)[:, :3].contiguous(), torch.eye(D)[:3], metadata=SAEMetadata(**metadata)).save_model(
        folder
    )


def _without_checksum(mutate):
    """Return a mutation that takes the checksum away at times: a change of the configuration is then not seen by it."""

    def changed(rng, files):
        if rng.random() < 0.7:
            cfg = json.loads(files["cfg.json"])
            cfg["metadata"].pop("checksum", None)
            files = {**files, "cfg.json": json.dumps(cfg).encode()}
        return mutate(rng, files)

    return changed


def _load_ssae(folder):
    import torch

    from ssae_lens import SSAE

    ssae = SSAE.load_from_disk(folder)
    ssae.origin.differences(ssae.origin)
    ssae.encode(torch.zeros(2, ssae.cfg.d_in))


def _vector():
    import torch

    from ssae_lens.base.provenance import Origin
    from ssae_lens.steering_vector import SteeringVector

    directions = {HOOK: torch.ones(D), "blocks.2.hook_resid_post": torch.arange(1.0, D + 1)}
    return SteeringVector(directions, origin=Origin(HOOK, D, "m"), method="ssae", concept="tense", norms={HOOK: 2.0})


def _load_vector(folder):
    from ssae_lens.steering_vector import SteeringVector

    vector = SteeringVector.load(folder / "v.safetensors")
    _ = [(vector.at(hook).direction.sum(), vector.at(hook).norms) for hook in vector.hook_names]


def _load_gguf(folder):
    from ssae_lens.steering_vector import SteeringVector

    vector = SteeringVector.from_gguf(folder / "v.gguf")
    _ = [vector.at(hook).direction.sum() for hook in vector.hook_names]


def _unstated(mutate, name):
    """Return a mutation that takes the checksum out of a safetensors file's header at times."""

    def changed(rng, files):
        if rng.random() < 0.7:
            data = files[name]
            size = int.from_bytes(data[:8], "little")
            header = json.loads(data[8 : 8 + size])
            header["__metadata__"].pop("sha256", None)
            text = json.dumps(header).encode()
            files = {**files, name: len(text).to_bytes(8, "little") + text + data[8 + size :]}
        return mutate(rng, files)

    return changed


def _approximator(folder):
    import torch

    from ssae_lens.base.provenance import Origin
    from ssae_lens.methods.sae_ts import Approximator

    stated = {"sae": "abc", "mean_norm": 2.0, "r2": 0.5, "r2_shuffled": 0.0, "fitted": {"method": "ridge", "n": 3}}
    Approximator(torch.ones(D, 3), torch.ones(3), origin=Origin(HOOK, D, "m"), **stated).save(
        folder / "map.safetensors"
    )


def _load_approximator(folder):
    from ssae_lens.methods.sae_ts import Approximator

    _ = Approximator.load(folder / "map.safetensors").inverse


def _effects(folder):
    import torch

    from ssae_lens.base.provenance import Origin
    from ssae_lens.methods.sae_ts.effects import Effects
    from ssae_lens.methods.sae_ts.settings import Settings

    tensors = (torch.ones(2, D), torch.ones(2, 3), torch.ones(2), torch.ones(2), torch.ones(3))
    Effects(*tensors, Origin(HOOK, D, "m"), "abc", 2.0, Settings(), {"seed": 0}).save(folder / "effects.safetensors")


def _load_effects(folder):
    from ssae_lens.methods.sae_ts.effects import Effects

    _ = Effects.load(folder / "effects.safetensors").reached


def targets():
    """Return the readers of binary files."""
    from .stores import targets as stores

    weights, arrays = once(_other_weights), once(_other_arrays)
    return [
        *stores(),
        Target(
            "ssae cfg", "`SSAE.load_from_disk`: `cfg.json`", _ssae, _without_checksum(json_of("cfg.json")), _load_ssae
        ),
        Target(
            "ssae weights",
            "`SSAE.load_from_disk`: the weights, safetensors",
            _ssae,
            _without_checksum(safetensors_of("sae_weights.safetensors")),
            _load_ssae,
        ),
        Target(
            "vector",
            "`SteeringVector.load`, safetensors",
            lambda folder: _vector().save(folder / "v.safetensors"),
            _unstated(safetensors_of("v.safetensors"), "v.safetensors"),
            _load_vector,
        ),
        Target(
            "sae-ts map",
            "`Approximator.load`, safetensors",
            _approximator,
            _unstated(safetensors_of("map.safetensors"), "map.safetensors"),
            _load_approximator,
        ),
        Target(
            "sae-ts effects",
            "`Effects.load`, safetensors",
            _effects,
            _unstated(safetensors_of("effects.safetensors"), "effects.safetensors"),
            _load_effects,
        ),
        Target(
            "gguf",
            "`SteeringVector.from_gguf`",
            lambda folder: _vector().to_gguf(folder / "v.gguf"),
            bytes_of("v.gguf"),
            _load_gguf,
            weight=2,
        ),
        Target(
            "reference weights",
            "a folder of the reference code: `weights.pth`",
            _reference_folder,
            zip_of("weights.pth", weights),
            _load_reference_folder,
        ),
        Target(
            "reference cfg",
            "a folder of the reference code: `cfg.yaml`",
            _reference_folder,
            text_of("cfg.yaml", YAML_TOKENS),
            _load_reference_folder,
        ),
        Target(
            "reference whitening",
            "a folder of the reference code: `whitening_params.npz`",
            _reference_folder,
            zip_of("whitening_params.npz", arrays),
            _load_reference_folder,
            weight=0.5,
        ),
    ]
