"""Sharing through the Hub: huggingface_hub's own client, in processes of its own, against a small server."""

import io
import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load

from ssae_lens.sae import SSAE, SSAEConfig
from tests.hub_server import hub_on_loopback

UPLOAD = """
import sys
from ssae_lens.pretrained import upload
from ssae_lens.sae import SSAE
folder, other = sys.argv[1:]
saes = {"blocks.3/last": SSAE.load_from_disk(folder), "from-folder": other}
print(upload(saes, "someone/shifts", licence="mit", quiet=True))
"""
DOWNLOAD = """
import json, sys
import ssae_lens
from sae_lens import SAE
from safetensors.torch import save_file
ssae = SAE.from_pretrained("someone/shifts", "blocks.3/last")
save_file({k: v.detach() for k, v in ssae.state_dict().items()}, sys.argv[1])
assert type(ssae) is ssae_lens.SSAE, type(ssae)
other = ssae_lens.SSAE.from_pretrained("someone/shifts", "from-folder")
from ssae_lens.sae.paper_checkpoints import reference_hub_loader
reference = SAE.from_pretrained("someone/reference", "runs/one", converter=reference_hub_loader)
refused = []
for release, sae_id in [("someone/shifts", "blocks.3/lost"), ("someone/nothing", "x"), ("so/many/parts", "x")]:
    try:
        ssae_lens.SSAE.from_pretrained(release, sae_id)
    except Exception as error:
        refused.append([type(error).__name__, str(error)])
said = {"reference": reference.cfg.metadata.reference["version"], "refused": refused}
said |= {"metadata": dict(ssae.cfg.metadata.items()), "k": ssae.cfg.k, "other": other.cfg.d_sae}
print(json.dumps(said))
"""
UNREACHABLE = """
from ssae_lens.pretrained import upload
from ssae_lens.sae import SSAE, SSAEConfig
try:
    upload({"a": SSAE(SSAEConfig(d_in=4, d_sae=2))}, "someone/shifts", quiet=True)
except ConnectionError as error:
    print(error)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub():
    with hub_on_loopback() as server:
        yield server


@pytest.fixture(scope="module")
def uploaded(hub, tmp_path_factory):
    """An SSAE that one process saved and another uploaded."""
    folder, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    ssae = SSAE(SSAEConfig(d_in=8, d_sae=5, k=2, code_norm="layer"))
    with torch.no_grad():
        for weight in ssae.parameters():
            weight.normal_()
    ssae.cfg.metadata.hook_name = "blocks.3.hook_resid_post"
    ssae.cfg.metadata.level = 0.25
    ssae.save_model(folder)
    SSAE(SSAEConfig(d_in=8, d_sae=3)).save_model(other)
    url = run(hub, tmp_path_factory.mktemp("home"), UPLOAD, str(folder), str(other))
    assert url.strip() == f"{hub.url}/someone/shifts"
    return ssae


def run(hub, home, program, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | hub.environment(home) | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def downloaded(hub, uploaded, tmp_path_factory):
    """What a third process loaded, and what it was refused."""
    folder = tmp_path_factory.mktemp("downloaded")
    weights = io.BytesIO()
    state = {f"{layer}.{part}": torch.ones(3) for layer in ("encoder", "enc_norm") for part in ("weight", "bias")}
    state |= {"encoder.weight": torch.ones(3, 4), "decoder.weight": torch.ones(4, 3), "decoder.bias": torch.ones(4)}
    torch.save(state, weights)
    hub.repos["someone/reference"] = {
        "runs/one/weights.pth": weights.getvalue(),
        "runs/one/cfg.yaml": b"norm: ln\n",
        "runs/other/weights.pth": b"never asked for",
    }
    said = json.loads(run(hub, folder / "home", DOWNLOAD, str(folder / "weights.safetensors")))
    return said | {"weights": load((folder / "weights.safetensors").read_bytes())}


def test_upload_then_load_in_another_process(uploaded, downloaded):
    expected = uploaded.state_dict()
    assert downloaded["weights"].keys() == expected.keys()
    assert all(torch.equal(downloaded["weights"][name], expected[name]) for name in expected)
    assert downloaded["k"] == 2
    assert downloaded["other"] == 3
    assert downloaded["metadata"] == dict(uploaded.cfg.metadata.items())


def test_the_model_card_arrived(hub, uploaded):
    files = hub.repos["someone/shifts"]
    assert sorted(files) == sorted(
        [
            "README.md",
            *(f"{i}/{f}" for i in ("blocks.3/last", "from-folder") for f in ("cfg.json", "sae_weights.safetensors")),
        ]
    )
    card = files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: saelens\n")
    assert 'SAE.from_pretrained("someone/shifts", "blocks.3/last")' in card
    assert "| hook | blocks.3.hook\\_resid\\_post |" in card
    assert "| level | 0.25 |" in card
    assert "license: mit" in card


def test_weights_went_by_git_lfs_and_the_rest_in_the_commit(hub, uploaded):
    assert any(line.startswith("PUT /large/") for line in hub.log)
    assert len(hub.large) == 2


def test_what_is_not_there_is_said_in_one_line(downloaded):
    missing_id, missing_repository, bad_name = downloaded["refused"]
    assert missing_id[0] == missing_repository[0] == "FileNotFoundError"
    assert "'someone/shifts' holds no SAE 'blocks.3/lost'" in missing_id[1]
    assert "It holds 'blocks.3/last', 'from-folder'. Did you mean 'blocks.3/last'?" in missing_id[1]
    assert "no repository 'someone/nothing'" in missing_repository[1]
    assert bad_name[0] == "ValueError"
    assert "'so/many/parts'" in bad_name[1]
    assert not any("\n" in text for _, text in downloaded["refused"])


def test_a_hub_that_cannot_be_reached_is_said_in_one_line(hub, tmp_path):
    said = run(hub, tmp_path, UNREACHABLE, HF_ENDPOINT="http://127.0.0.1:9").strip()
    assert "http://127.0.0.1:9 cannot be reached for 'someone/shifts'" in said
    assert "\n" not in said


def test_the_reference_code_s_folder(hub, downloaded):
    assert downloaded["reference"] == "v2"
    assert any(line.endswith("runs/one/weights.pth") for line in hub.log)
    assert not any("runs/other" in line for line in hub.log)
