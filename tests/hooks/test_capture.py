import contextlib
import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from tokenizers import processors

from ssae_lens.base.checksums import sha256_of
from ssae_lens.hooks import capture_job, shards
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.capture_job import ProcessGroup
from ssae_lens.models import load_model, tiny_model
from ssae_lens.pairs import load_pairs, schema
from ssae_lens.pairs.schema import from_rows, signed_changes

HOOK = "blocks.1.hook_resid_post"
SHAPES = ["gpt2", "neox", "llama", "gemma", "gemma2"]
SMALL = {"batch_tokens": 64, "quiet": True}  # several batches of several texts


@pytest.fixture(scope="module")
def pairs():
    return load_pairs("sentences", n=8)


@pytest.fixture(scope="module")
def model():
    return tiny_model("gpt2")


def names_in(folder):
    return sorted(each.name for each in folder.iterdir())


def alone(model, text, hook, position, runs):
    """What the position says of one text run alone, unpadded, in the plainest way."""
    tokens = model.to_tokens(text)
    if text not in runs:
        runs[text] = model.run_with_cache(tokens)[1]
    values = runs[text][hook][0].detach()
    assert len(values) == tokens.shape[1]
    if position == "last":
        return values[-1]
    if position == "mean":
        return values[1:].mean(0) if len(values) > 1 else values[0]
    if isinstance(position, int):
        return values[position]
    begin, end = (int(each) if each else None for each in position.split(":"))
    return values[begin:end].mean(0)


def assert_rows_are_of_texts_alone(model, pairs, hooks, position, runs):
    stores = capture_shifts(model, pairs, hooks, position=position, **SMALL)
    assert list(stores) == hooks
    for hook, store in stores.items():
        assert (store.origin.hook_name, store.origin.position) == (hook, str(position))
        assert store.row_ids.tolist() == list(range(len(pairs)))
        for name, rows in (("source", store.source), ("target", store.target)):
            for text, row in zip(pairs[name], rows, strict=True):
                expected = alone(model, text, hook, position, runs).numpy()
                assert np.linalg.norm(row - expected) <= 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("kind", ["hooked", "bridge"])
@pytest.mark.parametrize("shape", [SHAPES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in SHAPES[1:])])
def test_every_row_is_that_of_its_text_run_alone(shape, kind, pairs):
    model, runs = tiny_model(shape, kind), {}
    for position in ("last", "mean", 2, -3, "-4:"):
        assert_rows_are_of_texts_alone(model, pairs, [HOOK, "blocks.2.hook_attn_out", "hook_embed"], position, runs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hooked", "bridge"])
def test_every_row_is_that_of_its_text_run_alone_on_smollm2(kind, pairs):
    model, runs = load_model("smollm2-135m", kind, device="cpu"), {}
    pairs = pairs.select(range(3))
    for position in ("last", "mean", 3, -2):
        assert_rows_are_of_texts_alone(
            model, pairs, ["blocks.15.hook_resid_post", "blocks.5.hook_mlp_out"], position, runs
        )


def test_what_is_known_of_the_pairs_goes_along(model, pairs, tmp_path):
    store = capture_shifts(model, pairs, HOOK, path=tmp_path / "shifts.h5", dtype="float16", **SMALL)
    assert store.path == tmp_path / "shifts.h5"
    assert store.dtype == np.float16
    assert store.texts == (pairs["source"][:], pairs["target"][:])
    assert store.concepts == list(pairs.features["changes"])
    np.testing.assert_array_equal(store.labels, signed_changes(pairs))
    assert store.pairs == {
        "fingerprint": store.pairs["fingerprint"],
        "rows": len(pairs),
        "prepend_bos": True,
        "truncate": False,
    }
    assert (store.origin.model_name, store.origin.model_class) == ("tiny-gpt2", "HookedTransformer")
    assert names_in(tmp_path) == ["shifts.h5"]


def test_pairs_without_labels_and_with_several_rows_each(model):
    pairs = from_rows([{"source": "1234", "target": "1894"}, {"source": "14", "target": "194"}])
    store = capture_shifts(model, pairs, HOOK, position="changed", **SMALL)
    assert store.labels is None
    assert store.row_ids.tolist() == [0, 0, 1]
    assert store.texts == (["1234", "1234", "14"], ["1894", "1894", "194"])
    for name, text, spans in (("source", "1234", ["2:3", "3:4"]), ("target", "1894", ["2:3", "3:4"])):
        for row, span in enumerate(spans):
            expected = alone(model, text, HOOK, span, {}).numpy()
            np.testing.assert_allclose(getattr(store, name)[row], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(store.target[2], alone(model, "194", HOOK, "2:4", {}), rtol=1e-4, atol=1e-5)


def test_every_text_is_run_once(model):
    names = ["king", "queen", "boy", "girl", "man"]
    pairs = from_rows([{"source": f"The {a}.", "target": f"The {b}."} for a in names for b in names if a != b])
    ran = []
    handle = model.embed.register_forward_pre_hook(lambda _, given: ran.append(len(given[0])))
    store = capture_shifts(model, pairs, HOOK, **SMALL)
    handle.remove()
    assert len(store) == 20
    # Two more texts for the pass that looks at the hook's shape.
    assert sum(ran) == len(names) + 2


def test_several_hooks_are_files_of_a_folder(model, pairs, tmp_path):
    hooks = ("blocks.0.hook_resid_mid", HOOK)
    stores = capture_shifts(model, pairs, hooks, path=tmp_path / "shifts", **SMALL)
    assert names_in(tmp_path / "shifts") == ["blocks.0.hook_resid_mid.h5", f"{HOOK}.h5"]
    np.testing.assert_array_equal(stores[HOOK].shifts, capture_shifts(model, pairs, HOOK, **SMALL).shifts)


class TestBeginningOfSequence:
    """A text never begins with its own first token where that would be read, unless one asks for it, and then it is said."""

    WORDS = from_rows([{"source": "man", "target": "I"}, {"source": "He", "target": "The queen"}])

    @pytest.fixture(params=["hooked", "bridge"])
    def bare(self, request):
        return tiny_model("gpt2", request.param, default_prepend_bos=False)

    @staticmethod
    def rows(model, pairs, at, *, prepend_bos):
        """The activations of each side's texts, each run alone."""
        found = []
        for name in ("source", "target"):
            tokens = [model.to_tokens(text, prepend_bos=prepend_bos) for text in pairs[name][:]]
            found.append(np.stack([model.run_with_cache(each)[1][HOOK][0, at].detach().numpy() for each in tokens]))
        return found

    def assert_rows(self, store, rows):
        for side, expected in zip((store.source, store.target), rows, strict=True):
            np.testing.assert_allclose(side, expected, rtol=1e-4, atol=1e-5)

    def test_put_before_all_texts_where_a_first_token_would_be_read(self, bare):
        assert [bare.to_tokens(text).shape[1] for text in ("man", "I", "He", "The queen")] == [1, 1, 1, 2]
        store = capture_shifts(bare, self.WORDS, HOOK, position="last", **SMALL)
        self.assert_rows(store, self.rows(bare, self.WORDS, -1, prepend_bos=True))
        assert store.pairs["prepend_bos"] is True
        assert store.pairs["bos_token"] == "<bos>"
        for position in ("mean", "changed"):
            each = capture_shifts(bare, self.WORDS.select([0]), HOOK, position=position, **SMALL)
            np.testing.assert_allclose(each.source, store.source[:1], rtol=1e-5, atol=1e-6)

    def test_not_put_where_no_first_token_is_read(self, bare, pairs):
        """And the store is what it was before there was a choice."""
        pairs = pairs.select(range(3))
        store = capture_shifts(bare, pairs, HOOK, position="last", **SMALL)
        self.assert_rows(store, self.rows(bare, pairs, -1, prepend_bos=False))
        assert store.pairs["prepend_bos"] is False
        assert set(store.pairs) == {"fingerprint", "rows", "prepend_bos", "truncate"}

    def test_on_request(self, bare, model, pairs):
        pairs = pairs.select(range(3))
        store = capture_shifts(bare, pairs, HOOK, position="last", prepend_bos=True, **SMALL)
        self.assert_rows(store, self.rows(bare, pairs, -1, prepend_bos=True))
        assert store.pairs["prepend_bos"] is True
        without = capture_shifts(model, pairs, HOOK, position="last", prepend_bos=False, **SMALL)
        self.assert_rows(without, self.rows(model, pairs, -1, prepend_bos=False))
        assert without.pairs["prepend_bos"] is False
        default = capture_shifts(model, pairs, HOOK, **SMALL)
        assert capture_shifts(model, pairs, HOOK, prepend_bos=True, **SMALL).fingerprint == default.fingerprint
        with pytest.raises(ValueError, match="prepend_bos is 'yes'; it must be True, False or None"):
            capture_shifts(model, pairs, HOOK, prepend_bos="yes", **SMALL)

    def test_a_first_token_that_is_read_all_the_same_is_said(self, bare, model, recwarn):
        words = (
            r"reads the first token of the text in 2 rows \(0, 1\)\. In most models .* sink.* give prepend_bos=True, or"
        )
        with pytest.warns(UserWarning, match=words) as caught:
            store = capture_shifts(bare, self.WORDS, HOOK, prepend_bos=False, **SMALL)
        assert caught[0].filename == __file__
        self.assert_rows(store, self.rows(bare, self.WORDS, -1, prepend_bos=False))
        for each, position in ((bare, 0), (model, 0), (model, "0:2")):
            words = rf"The position {position} reads the BOS in 2 rows .*; give another position\.$"
            with pytest.warns(UserWarning, match=words):
                capture_shifts(each, self.WORDS, HOOK, position=position, **SMALL)
        bare.tokenizer.bos_token = bare.tokenizer.eos_token = None
        bare.tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()
        with pytest.warns(UserWarning, match="reads the first token of the text"):
            assert capture_shifts(bare, self.WORDS, HOOK, **SMALL).pairs["prepend_bos"] is False

    def test_nothing_is_said_otherwise(self, bare, model, pairs, recwarn):
        for each in (bare, model):
            for position in ("last", "mean", 1):
                capture_shifts(each, pairs.select([0]), HOOK, position=position, **SMALL)
        capture_shifts(bare, self.WORDS, HOOK, **SMALL)
        assert not [each for each in recwarn if issubclass(each.category, UserWarning)]

    def test_positions_count_it_as_0(self, bare):
        store = capture_shifts(bare, self.WORDS, HOOK, position=1, prepend_bos=True, **SMALL)
        self.assert_rows(store, self.rows(bare, self.WORDS, 1, prepend_bos=True))

    def test_a_store_of_texts_without_one_is_not_taken_for_one_with(self, bare, pairs, tmp_path):
        """As a store of an earlier version is."""
        pairs = pairs.select([0])
        with pytest.warns(UserWarning, match="attention sink"):
            capture_shifts(bare, self.WORDS, HOOK, prepend_bos=False, path=tmp_path / "words.h5", **SMALL).close()
        with pytest.raises(ValueError, match=r"'prepend_bos': False.* there, .*'prepend_bos': True"):
            capture_shifts(bare, self.WORDS, HOOK, path=tmp_path / "words.h5", **SMALL)
        capture_shifts(bare, pairs, HOOK, prepend_bos=False, path=tmp_path / "pairs.h5", **SMALL).close()
        with counting(bare) as ran:
            capture_shifts(bare, pairs, HOOK, path=tmp_path / "pairs.h5", **SMALL).close()
        assert len(ran) <= 1  # the look at the hook

    @pytest.mark.slow
    @pytest.mark.parametrize("corpus", ["lang", "gender", "binary", "corr"])
    def test_words_are_no_attention_sinks_on_smollm2(self, corpus):
        model, words = load_model("smollm2-135m", device="cpu"), load_pairs(corpus)
        hook = "blocks.15.hook_resid_post"
        store = capture_shifts(model, words, hook, position="last", quiet=True)
        assert store.pairs["bos_token"] == "<|endoftext|>"
        norms = np.linalg.norm(np.concatenate([store.source, store.target]), axis=1)
        assert norms.max() < 2 * np.median(norms)
        units = store.shifts / np.linalg.norm(store.shifts, axis=1, keepdims=True)
        cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
        assert np.quantile(abs(cosines), 0.95) < 0.9
        with pytest.warns(UserWarning, match="attention sink"):
            bare = capture_shifts(model, words, hook, position="last", prepend_bos=False, quiet=True)
        sinks = np.linalg.norm(np.concatenate([bare.source, bare.target]), axis=1)
        assert sinks.max() > 50 * np.median(norms)


@pytest.mark.parametrize("hooks", [HOOK, [HOOK, "blocks.0.hook_resid_mid", "blocks.2.hook_resid_post"]])
@pytest.mark.parametrize("prepends", [True, False])
def test_columns_are_read_and_hashed_once_whatever_the_number_of_hooks(hooks, prepends, pairs, monkeypatch):
    from datasets import Dataset

    model = tiny_model("gpt2", default_prepend_bos=prepends)
    item, signs, hashed, read = Dataset.__getitem__, schema.signed_changes, schema.fingerprint_of_texts, []

    def getting(dataset, key):
        read.append(key)
        return item(dataset, key)

    def counted(name, function):
        def calling(*args):
            read.append(name)
            return function(*args)

        return calling

    monkeypatch.setattr(Dataset, "__getitem__", getting)
    monkeypatch.setattr(schema, "signed_changes", counted("changes", signs))
    monkeypatch.setattr(schema, "fingerprint_of_texts", counted("hash", hashed))
    capture_shifts(model, pairs, hooks, position="changed", **SMALL)
    assert [read.count(name) for name in ("source", "target", "changes", "hash")] == [1, 1, 1, 1]


@contextlib.contextmanager
def counting(model):
    """Count the batches that go through the model."""
    ran = []
    handle = model.embed.register_forward_pre_hook(lambda *_: ran.append(1))
    yield ran
    handle.remove()


def test_an_interrupted_capture_is_gone_on_with(model, pairs, tmp_path, monkeypatch):
    expected = capture_shifts(model, pairs, HOOK, **SMALL)
    tokens, path = capture_job.BatchPlan.tokens, tmp_path / "shifts.h5"

    def interrupted(plan, number):
        if number == 2:
            raise KeyboardInterrupt
        return tokens(plan, number)

    monkeypatch.setattr(capture_job.BatchPlan, "tokens", interrupted)
    with pytest.raises(KeyboardInterrupt):
        capture_shifts(model, pairs, HOOK, path=path, **SMALL)
    monkeypatch.undo()
    assert names_in(tmp_path) == ["shifts.h5.partial"]
    with pytest.raises(ValueError, match=r"shifts.h5.partial was made for something else \(dtype: 'float32' there,"):
        capture_shifts(model, pairs, HOOK, path=path, dtype="float16", **SMALL)
    with counting(model) as ran:
        store = capture_shifts(model, pairs, HOOK, path=path, **SMALL)
    assert store.fingerprint == expected.fingerprint
    with counting(model) as ran_again:
        assert capture_shifts(model, pairs, HOOK, path=path, **SMALL).fingerprint == expected.fingerprint
    # Finished, it is opened; the one pass is the look at the hook.
    assert len(ran) > len(ran_again) == 1


def test_a_store_of_something_else_is_not_gone_on_with(model, pairs, tmp_path):
    path = tmp_path / "shifts.h5"
    capture_shifts(model, pairs, HOOK, position="last", path=path, **SMALL).close()
    before = sha256_of(path)
    fewer = pairs.select(range(5))
    relabelled = pairs.remove_columns(["changes", "changed"])
    others = {
        "origin.model_name: 'tiny-gpt2' there, 'tiny-llama' now": (tiny_model("llama"), pairs, HOOK, "last"),
        "origin.model_class: 'HookedTransformer' there,": (tiny_model("gpt2", "bridge"), pairs, HOOK, "last"),
        "origin.fingerprint": (tiny_model("gpt2", seed=1), pairs, HOOK, "last"),
        "origin.hook_name": (model, pairs, "blocks.2.hook_resid_post", "last"),
        "origin.position: 'last' there, 'mean' now": (model, pairs, HOOK, "mean"),
        "rows: 8 there, 5 now": (model, fewer, HOOK, "last"),
        "labels": (model, relabelled, HOOK, "last"),
    }
    for words, (another, some, hook, position) in others.items():
        with pytest.raises(ValueError, match=words):
            capture_shifts(another, some, hook, position=position, path=path, **SMALL)
    assert names_in(tmp_path) == ["shifts.h5"]
    assert sha256_of(path) == before


def test_each_process_does_its_share_of_the_same_store(model, pairs, tmp_path, monkeypatch):
    capture_shifts(model, pairs, HOOK, path=tmp_path / "one.h5", **SMALL).close()

    def captured_by(rank, wait):
        monkeypatch.setattr(capture_job, "process_group", lambda: contextlib.nullcontext(ProcessGroup(rank, 2, wait)))
        with counting(model) as ran, contextlib.suppress(BrokenPipeError):
            capture_shifts(model, pairs, HOOK, path=tmp_path / "two.h5", **SMALL).close()
        return len(ran) - 1  # less the look at the hook

    waits = iter([None, None])

    def wait_in_vain():
        """Wait for the lock and for the header, and break off when the share is done."""
        if next(waits, BrokenPipeError) is BrokenPipeError:
            raise BrokenPipeError

    second = captured_by(1, wait_in_vain)
    assert names_in(tmp_path / "two.h5.partial")
    first = captured_by(0, lambda: None)
    assert 0 <= first - second <= 1
    assert captured_by(1, lambda: None) == 0
    assert sha256_of(tmp_path / "two.h5") == sha256_of(tmp_path / "one.h5")
    assert names_in(tmp_path) == ["one.h5", "two.h5"]
    with pytest.raises(ValueError, match="path is None with 2 processes"):
        capture_shifts(model, pairs, HOOK, **SMALL)


class TestOrphanedParts:
    """Parts that a kill left are never taken for those of another capture."""

    def killed_before_it_removed_its_parts(self, model, pairs, path, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(shards.Shards, "remove", interrupted)
            with pytest.raises(KeyboardInterrupt):
                capture_shifts(model, pairs, HOOK, path=path, **SMALL)
        return path.with_name(path.name + ".partial")

    def test_without_their_header(self, model, pairs, tmp_path, monkeypatch):
        other = "blocks.0.hook_resid_mid"
        right = capture_shifts(model, pairs, other, **SMALL)
        folder = self.killed_before_it_removed_its_parts(model, pairs, tmp_path / "c.h5", monkeypatch)
        (folder / "header.json").unlink()
        (tmp_path / "c.h5").unlink()
        with capture_shifts(model, pairs, other, path=tmp_path / "c.h5", **SMALL) as found:
            np.testing.assert_array_equal(found.shifts, right.shifts)
        assert names_in(tmp_path) == ["c.h5"]

    def test_the_finished_capture_removes_them(self, model, pairs, tmp_path, monkeypatch):
        folder = self.killed_before_it_removed_its_parts(model, pairs, tmp_path / "c.h5", monkeypatch)
        (folder / "header.json").unlink()
        with counting(model) as ran:
            capture_shifts(model, pairs, HOOK, path=tmp_path / "c.h5", **SMALL).close()
        assert len(ran) <= 1
        assert names_in(tmp_path) == ["c.h5"]

    def test_damaged_ones_are_computed_again(self, model, pairs, tmp_path, monkeypatch):
        right = capture_shifts(model, pairs, HOOK, **SMALL)
        folder = self.killed_before_it_removed_its_parts(model, pairs, tmp_path / "c.h5", monkeypatch)
        (tmp_path / "c.h5").unlink()
        first, second, third, *_ = sorted(folder.glob("*.npy"))
        first.write_bytes(first.read_bytes()[:-200] + bytes(200))
        second.write_bytes(b"")
        flipped = bytearray(third.read_bytes())
        flipped[len(flipped) // 2] ^= 4
        third.write_bytes(flipped)
        (folder / "header.json").write_text("{")
        with capture_shifts(model, pairs, HOOK, path=tmp_path / "c.h5", **SMALL) as found:
            np.testing.assert_array_equal(found.shifts, right.shifts)


def interrupted(*_):
    raise KeyboardInterrupt


def test_two_callers_of_one_capture_get_the_same_store(tmp_path):
    code = """
import sys, warnings
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.models import tiny_model
from ssae_lens.pairs import load_pairs
warnings.simplefilter("ignore")
sys.stdin.readline()
print(capture_shifts(tiny_model(), load_pairs("sentences", n=40), "blocks.1.hook_resid_post", path=sys.argv[1],
                     position="mean", batch_tokens=64, quiet=True).fingerprint)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "c.h5")]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in both:
        each.stdin.write("\n")
        each.stdin.flush()
    first, second = [each.communicate()[0] for each in both]
    assert first == second != ""
    assert names_in(tmp_path) == ["c.h5"]


PRELUDE = """
import os, signal, sys
import torch
from ssae_lens.hooks import capture_job, shards
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.models import tiny_model
from ssae_lens.pairs import load_pairs

torch.set_num_threads(1)
model, pairs = tiny_model(), load_pairs("sentences", n=8)


def capture(path):
    capture_shifts(model, pairs, ["blocks.1.hook_resid_post", "blocks.0.hook_resid_mid"], path=path, batch_tokens=64)

"""

TORCHRUN = PRELUDE + "capture(sys.argv[1])"

# Each child kills itself at another of the times that a batch is run, a file is brought to the disk, or rows are gathered.
KILLED = (
    PRELUDE
    + """
count = 0


def watched(function):
    def watching(*args, **kwargs):
        global count
        count += 1
        if count == event:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return watching


for where, name in ((capture_job.BatchPlan, "tokens"), (os, "fsync"), (shards.Shards, "get")):
    setattr(where, name, watched(getattr(where, name)))
event = 0
capture(sys.argv[1] + "/whole")
events, count = count, 0
generator = torch.Generator().manual_seed(0)
for event in torch.randperm(events, generator=generator)[:10].add(1).tolist():
    path = f"{sys.argv[1]}/killed-at-{event}"
    if (child := os.fork()) == 0:
        capture(path)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
"""
)


def run_script(text, folder, *command):
    script = folder / "script.py"
    script.write_text(text)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(script), str(folder / "out")], check=True, timeout=300, env=environment)
    return folder / "out"


def content(folder):
    return {each.name: sha256_of(each) for each in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_the_same_call_completes_it(model, pairs, tmp_path):
    (tmp_path / "out").mkdir()
    out = run_script(KILLED, tmp_path, sys.executable)
    expected = content(out / "whole")
    killed = sorted(out.glob("killed-at-*.partial"))
    assert len(killed) == 10
    undone = set()
    for folder in killed:
        done = len(list(folder.glob("[0-9]*.npy")))
        with counting(model) as ran:
            path = folder.with_suffix("")
            capture_shifts(model, pairs, [HOOK, "blocks.0.hook_resid_mid"], path=path, **SMALL)
        assert content(path) == expected
        assert not folder.exists()
        # What was done is not done again: together they are the same number, with the look at the hooks.
        undone.add(len(ran) + done)
    assert len(undone) == 1


@pytest.mark.slow
def test_torchrun_gives_the_same_store_as_one(model, pairs, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    out = run_script(TORCHRUN, tmp_path, *torchrun)
    capture_shifts(model, pairs, [HOOK, "blocks.0.hook_resid_mid"], path=tmp_path / "one", **SMALL)
    assert content(out) == content(tmp_path / "one")
    assert not (tmp_path / "out.partial").exists()


def test_nan_names_the_row_and_leaves_nothing(pairs, tmp_path):
    model = tiny_model("gpt2")
    token = model.to_tokens(" \u00e9", prepend_bos=False)[0, -1]
    with torch.no_grad():
        model.embed.W_E[token] = torch.nan
    rows = [{"source": "A king.", "target": "A queen."}] * 3 + [{"source": "A king.", "target": "A caf\u00e9."}]
    with pytest.raises(ValueError, match=rf"The activation at '{HOOK}' holds NaN or infinite values in row 3;"):
        capture_shifts(model, from_rows(rows), HOOK, path=tmp_path / "shifts.h5", **SMALL)
    assert names_in(tmp_path) == []
    assert not model.training
    assert not model.hook_dict[HOOK].fwd_hooks


def test_a_disk_that_is_full_is_said_before_the_work(model, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with (
        counting(model) as ran,
        pytest.raises(OSError, match="make room, store float16, or give a path on another disk"),
    ):
        capture_shifts(model, pairs, HOOK, path=tmp_path / "shifts.h5", **SMALL)
    assert names_in(tmp_path) == []
    assert len(ran) == 1


def test_a_disk_that_fills_up_leaves_what_can_be_gone_on_with(model, pairs, tmp_path, monkeypatch):
    path, save, saved = tmp_path / "shifts.h5", np.save, []

    def filling_up(*args, **kwargs):
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(save(*args, **kwargs))

    monkeypatch.setattr(np, "save", filling_up)
    with pytest.raises(OSError, match="make room") as error:
        capture_shifts(model, pairs, HOOK, path=path, **SMALL)
    monkeypatch.undo()
    assert error.value.errno == errno.ENOSPC
    assert not path.exists()
    store = capture_shifts(model, pairs, HOOK, path=path, **SMALL)
    assert store.fingerprint == capture_shifts(model, pairs, HOOK, **SMALL).fingerprint


GOOD = {"source": "A king.", "target": "A queen."}


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([GOOD, {"source": " ", "target": "A boy."}], {}, r"source is empty in 1 row \(1\)"),
        (
            [GOOD, {"source": "A boy.", "target": "king " * 300}],
            {},
            r"more than the 256 that the model reads, in 1 row \(1\)",
        ),
        ([GOOD], {"hook": "blocks.1.hook_resid_pst"}, "Did you mean 'blocks.1.hook_resid_post'"),
        ([GOOD], {"hook": "blocks.1.attn.hook_q"}, r"shape \(2, 3, 4, 8\)"),
        ([GOOD], {"hook": []}, "give one hook, or several different ones"),
        ([GOOD], {"hook": 15}, "hook is 15; give one hook, or several different ones, by name"),
        ([GOOD], {"hook": [HOOK, 15]}, r"hook is \['blocks.1.hook_resid_post', 15\]; give one hook"),
        ([GOOD], {"hook": None}, "hook is None; give one hook"),
        ([GOOD], {"hook": [HOOK, HOOK]}, "give one hook, or several different ones"),
        ([GOOD], {"position": 40}, r"position 40 lies outside of the text.*in 1 row \(0\)"),
        ([GOOD], {"position": "middle"}, "position is 'middle'"),
        ([GOOD], {"dtype": "bfloat16"}, "spoils their difference"),
        ([GOOD], {"batch_tokens": 0}, "batch_tokens is 0; it must be an integer of at least 1"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line_and_nothing_is_written(model, rows, options, words, tmp_path):
    from datasets import Dataset

    pairs = Dataset.from_list(rows)
    with pytest.raises(ValueError, match=words) as error:
        capture_shifts(model, pairs, **{"hook": HOOK, "path": tmp_path / "shifts.h5", **options})
    assert "\n" not in str(error.value)
    assert names_in(tmp_path) == []


def test_what_is_no_model(pairs):
    with pytest.raises(ValueError, match="model is a NoneType; it must be a HookedTransformer or a TransformerBridge"):
        capture_shifts(None, pairs, HOOK)


def test_columns_that_do_not_match_are_said(model, pairs, tmp_path):
    renamed = pairs.rename_column("target", "targets")
    with pytest.raises(ValueError, match=r"no column 'target' among .* Did you mean 'targets'"):
        capture_shifts(model, renamed, HOOK, path=tmp_path / "shifts.h5")
    with pytest.raises(ValueError, match="pairs are list"):
        capture_shifts(model, [("A king.", "A queen.")], HOOK)
