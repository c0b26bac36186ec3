"""Releases that ship with the package, model cards, and what can be refused without a network."""

import json
import re

import pytest
import torch
import yaml
from sae_lens import TopKSAE, TopKSAEConfig

from ssae_lens import SSAE, SSAEConfig
from ssae_lens.base import assets
from ssae_lens.pretrained import load_sae, model_card, releases, upload


def random_ssae(d_sae=5, **settings):
    ssae = SSAE(SSAEConfig(d_in=8, d_sae=d_sae, **settings))
    with torch.no_grad():
        for weight in ssae.parameters():
            weight.normal_()
    return ssae


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package that ships one release of an SSAE and one of an ordinary SAE in half precision."""
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    ssae = random_ssae()
    ssae.save_model(tmp_path / "tiny-shifts" / "blocks.1" / "last")
    random_ssae(d_sae=3).save_model(tmp_path / "tiny-shifts" / "blocks.2" / "last")
    (tmp_path / "tiny-shifts" / "card.json").write_text(json.dumps({"about": "For tests."}))
    topk = TopKSAE(TopKSAEConfig(d_in=8, d_sae=16, k=2, dtype="float16"))
    topk.save_model(tmp_path / "tiny-topk" / "blocks.1")
    return {"ssae": ssae, "topk": topk, "folder": tmp_path}


class TestShipped:
    def test_releases(self, shipped):
        first, second = releases()
        assert first.name == "tiny-shifts"
        assert first.sae_ids == ("blocks.1/last", "blocks.2/last")
        assert first.card == {"about": "For tests."}
        assert (second.name, second.sae_ids, second.card) == ("tiny-topk", ("blocks.1",), {})

    @pytest.mark.parametrize("load", [SSAE.from_pretrained, load_sae])
    def test_an_ssae(self, shipped, load):
        loaded = load("tiny-shifts", "blocks.1/last")
        assert type(loaded) is SSAE
        assert all(
            torch.equal(value, loaded.state_dict()[name]) for name, value in shipped["ssae"].state_dict().items()
        )

    def test_cfg_and_dtype(self, shipped):
        ssae, cfg, sparsity = SSAE.from_pretrained_with_cfg_and_sparsity(
            "tiny-shifts", "blocks.2/last", dtype="float64"
        )
        assert ssae.W_dec.dtype == torch.float64
        assert cfg["d_sae"] == 3
        assert sparsity is None
        folded = SSAE.from_pretrained("tiny-shifts", "blocks.1/last", fold_W_dec_norm=True)
        torch.testing.assert_close(folded.W_dec.norm(dim=1), torch.ones(5))

    def test_an_ordinary_sae_in_half_precision(self, shipped):
        loaded = load_sae("tiny-topk", "blocks.1")
        assert type(loaded) is TopKSAE
        assert loaded.W_enc.dtype == torch.float32
        assert torch.equal(loaded.W_enc.half(), shipped["topk"].W_enc)
        assert loaded(torch.randn(2, 8)).dtype == torch.float32
        with pytest.raises(ValueError, match="architecture 'topk', not 'ssae'"):
            SSAE.from_pretrained("tiny-topk", "blocks.1")

    @pytest.mark.parametrize("load", [SSAE.from_pretrained, load_sae])
    @pytest.mark.parametrize(
        ("release", "sae_id", "said"),
        [
            (
                "tiny-shift",
                "blocks.1/last",
                "no release 'tiny-shift': 'tiny-shifts', 'tiny-topk' ship.* Did you mean 'tiny-shifts'",
            ),
            ("tiny-shifts", "blocks.1/lost", "sae_id is 'blocks.1/lost'.* Did you mean 'blocks.1/last'"),
            (
                "tiny-shifts",
                "../tiny-topk/blocks.1",
                "the release 'tiny-shifts' holds 'blocks.1/last', 'blocks.2/last'",
            ),
        ],
    )
    def test_what_is_not_there(self, shipped, load, release, sae_id, said):
        with pytest.raises(ValueError, match=said) as error:
            load(release, sae_id)
        assert "\n" not in str(error.value)

    def test_a_package_that_ships_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setattr(assets, "ASSETS", tmp_path / "none")
        assert releases() == []
        with pytest.raises(ValueError, match="none ships with ssae_lens"):
            SSAE.from_pretrained("anything", "at-all")


class TestOffline:
    """The test processes are told that there is no network; the client refuses before it asks."""

    @pytest.mark.parametrize("load", [SSAE.from_pretrained, load_sae])
    def test_loading(self, load):
        with pytest.raises(FileNotFoundError, match="'someone/never-made' is not in the cache") as error:
            load("someone/never-made", "x")
        assert "\n" not in str(error.value)

    def test_uploading(self):
        with pytest.raises(ConnectionError, match="cannot be reached for 'someone/shifts'") as error:
            upload({"a": random_ssae()}, "someone/shifts", quiet=True)
        assert "\n" not in str(error.value)


class TestUploadRefuses:
    @pytest.mark.parametrize("sae_id", ["", "/absolute", "../up", "a/../b", "a\\b", ".", "a b", "a\n# b", "```"])
    def test_ids(self, sae_id):
        with pytest.raises(ValueError, match="cannot be a folder of the repository"):
            upload({sae_id: random_ssae()}, "someone/shifts")

    def test_nothing(self):
        with pytest.raises(ValueError, match="saes is empty"):
            upload({}, "someone/shifts")

    @pytest.mark.parametrize("repo_id", ["shifts", "a/b/c", "a b/c", ""])
    def test_repositories(self, repo_id):
        with pytest.raises(ValueError, match="must be 'user/name'"):
            upload({"a": random_ssae()}, repo_id)

    def test_folders(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            upload({"a": tmp_path / "nowhere"}, "someone/shifts")
        TopKSAE(TopKSAEConfig(d_in=8, d_sae=16, k=2)).save_model(tmp_path)
        with pytest.raises(ValueError, match="architecture 'topk'"):
            upload({"a": tmp_path}, "someone/shifts")


def front_matter(card):
    """What the Hub reads: from the first line of three dashes to the next."""
    found = re.match(r"---\n(.*?)\n---\n", card, flags=re.DOTALL)
    return yaml.safe_load(found[1]), card[found.end() :]


class TestModelCard:
    def test_what_it_says(self):
        ssae = random_ssae(k=2)
        ssae.cfg.metadata.model_name = "gpt2"
        ssae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
        ssae.cfg.metadata.origin = {"position": "last", "processing": {"fold_ln": True}}
        ssae.cfg.metadata.level = 0.25
        ssae.cfg.metadata.pairs = {"name": "gender", "fingerprint": "0f"}
        front, body = front_matter(
            model_card({"one": ssae, "two": random_ssae(d_sae=3)}, "someone/shifts", "apache-2.0")
        )
        assert front["license"] == "apache-2.0"
        assert front["library_name"] == "saelens"
        assert 'SAE.from_pretrained("someone/shifts", "one")' in body
        for row in (
            "| model | gpt2 |",
            "| hook | blocks.1.hook\\_resid\\_post |",
            "| position | last |",
            "| d\\_in | 8 |",
            "| latents | 5 |",
            "| k (latents kept per shift) | 2 |",
            "| level | 0.25 |",
        ):
            assert row in body
        assert '{"name"\\: "gender", "fingerprint"\\: "0f"}' in body
        assert body.index("## one") < body.index("## two")

    def test_no_licence_is_made_up(self):
        front, body = front_matter(model_card({"a": random_ssae()}, "someone/shifts"))
        assert "license" not in front
        assert "None is stated for these weights." in body

    def test_metadata_stays_in_its_cell(self):
        hostile = (
            "x |\n\n# Free\n---\nlicense: stolen\n---\n<script>a()</script> [a](http://b) ```\n@some \u2028 \x1b[31m"
        )
        ssae = random_ssae()
        ssae.cfg.metadata.model_name = hostile
        ssae.cfg.metadata.pairs = {hostile: hostile}
        ssae.cfg.metadata[hostile] = hostile
        card = model_card({"a": ssae}, "someone/shifts", licence=hostile)
        plain = model_card({"a": random_ssae()}, "someone/shifts", licence="mit")
        front, body = front_matter(card)
        assert front.keys() == {"library_name", "tags", "license"}
        assert "\n" not in front["license"]
        assert "<script" not in body
        assert "\x1b" not in card
        assert "\u2028" not in card

        def headings(text):
            return [line for line in text.splitlines() if line.startswith("#")]

        assert len(headings(card)) == len(headings(plain))
        assert card.splitlines().count("---") == 2
        assert body.count("```") == 2
        rows = [line for line in body.splitlines() if line.startswith("|")]
        assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)

    def test_long_values_are_cut(self):
        ssae = random_ssae()
        ssae.cfg.metadata.notes = "word " * 10_000
        assert len(model_card({"a": ssae}, "someone/shifts")) < 5000
