"""What is imported when: nothing heavy with the package or for help, and the architecture with SAELens, in any order.

Each test asks a fresh process, since this one has imported everything.
"""

import importlib
import pickle
import subprocess
import sys

import pytest
import torch

from ssae_lens import SSAE, ShiftStore, SSAEConfig
from ssae_lens.base.post_import import after_import
from ssae_lens.base.provenance import Origin

HEAVY = (
    "torch",
    "numpy",
    "transformers",
    "datasets",
    "pandas",
    "sae_lens",
    "transformer_lens",
    "h5py",
    "plotly",
    "scipy",
)
SHOW = f"import sys; print('loaded:', *(each for each in {HEAVY} if each in sys.modules))"
HELP = """
import contextlib, io
from ssae_lens.cli import app
for words in ([], {commands}):
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        app([*words, "--help"])
    assert "Usage" in shown.getvalue()
"""


def fresh(program, *words):
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(program, *words):
    return set(fresh(f"{program}\n{SHOW}", *words).rpartition("loaded:")[2].split())


def test_importing_the_package_imports_nothing_heavy():
    assert loaded("import ssae_lens; assert ssae_lens.__version__ and 'train' in dir(ssae_lens)") == set()


def test_every_public_name_is_there():
    import ssae_lens

    assert all(getattr(ssae_lens, name).__name__ for name in ssae_lens.__all__)
    assert set(ssae_lens.__all__) <= set(dir(ssae_lens))
    assert ssae_lens.__all__ == sorted(
        ssae_lens.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ssae_lens.nothing


def test_rooms_are_attributes_of_a_fresh_import():
    program = (
        "import ssae_lens as sl; print(sl.pretrained.load_sae.__name__, sl.methods.caa.__name__, sl.metrics.__name__, "
        "sl.latents.__name__, sl.evals.__name__)"
    )
    assert fresh(program).split()[:2] == ["load_sae", "caa"]


def test_help_of_every_command_imports_nothing_heavy():
    from ssae_lens.cli import app

    commands = [[each.callback.__name__] for each in app.registered_commands]
    assert len(commands) >= 9
    assert loaded(HELP.format(commands=", ".join(map(str, commands)))) == set()


def test_inspect_imports_no_library_of_language_models(tmp_path):
    rows = torch.randn(4, 8).numpy()
    ShiftStore.from_arrays(rows, -rows, origin=Origin("blocks.0.hook_resid_post", 8)).save(tmp_path / "a.h5")
    program = "import sys; from ssae_lens.cli import app; app(sys.argv[1:], standalone_mode=False)"
    assert loaded(program, "inspect", tmp_path / "a.h5", "--quiet") <= {"torch", "numpy", "h5py"}


def test_unknown_pairs_are_an_error_before_a_model_is_imported(tmp_path):
    program = (
        "import sys, contextlib\nfrom ssae_lens.cli import app\nwith contextlib.suppress(SystemExit): app(sys.argv[1:])"
    )
    words = ("capture", "tiny-gpt2", "gendre", "--hook", "x", "--out", tmp_path / "a.h5")
    assert not loaded(program, *words) & {"torch", "transformers", "transformer_lens", "sae_lens"}


KNOWN = "from sae_lens import SAE; import sys; print(type(SAE.load_from_disk(sys.argv[1])).__name__)"


@pytest.mark.parametrize(
    "first",
    [
        "import ssae_lens",
        pytest.param("import sae_lens, ssae_lens", marks=pytest.mark.slow),
        pytest.param("import sae_lens.registry, ssae_lens", marks=pytest.mark.slow),
        pytest.param("from ssae_lens.sae.ssae import SSAE", marks=pytest.mark.slow),
        pytest.param("import ssae_lens, importlib.util; importlib.util.find_spec('sae_lens')", marks=pytest.mark.slow),
        pytest.param("import ssae_lens, importlib; importlib.reload(ssae_lens)", marks=pytest.mark.slow),
        pytest.param(
            "import ssae_lens, threading\nt = [threading.Thread(target=__import__, args=(m,)) for m in "
            "('sae_lens', 'ssae_lens.sae', 'ssae_lens.training')]\n[x.start() for x in t]; [x.join() for x in t]",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_sae_lens_knows_the_architecture_whichever_is_imported_first(tmp_path, first):
    SSAE.from_weights(torch.eye(4)[:, :2], torch.eye(4)[:2]).save_model(tmp_path)
    assert fresh(f"{first}\n{KNOWN}", tmp_path).split() == ["SSAE"]


@pytest.mark.slow
def test_a_configuration_is_unpickled_in_a_process_that_has_imported_nothing(tmp_path):
    path = tmp_path / "configuration.pickle"
    path.write_bytes(pickle.dumps(SSAEConfig(d_in=4, d_sae=2)))
    program = (
        "import pickle, sys; cfg = pickle.load(open(sys.argv[1], 'rb')); from sae_lens.registry import get_sae_class;"
        "print(get_sae_class('ssae')[1] is type(cfg))"
    )
    assert fresh(program, path).split() == ["True"]


class TestAfterImport:
    @pytest.fixture
    def module(self, tmp_path, monkeypatch):
        """The name of a module that counts its runs."""
        (tmp_path / "late_module.py").write_text("RUNS = globals().get('RUNS', 0) + 1\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
        yield "late_module"
        sys.modules.pop("late_module", None)

    def test_at_once_where_it_is_imported(self, module):
        importlib.import_module(module)
        called = []
        after_import(module, lambda: called.append(1))
        assert called == [1]

    def test_once_when_it_is_imported(self, module):
        called, finders = [], len(sys.meta_path)
        after_import(module, lambda: called.append(sys.modules[module].RUNS))
        assert importlib.util.find_spec(module) is not None
        assert called == []
        imported = importlib.import_module(module)
        assert called == [1]
        assert len(sys.meta_path) == finders
        # The module is its own loader's, as if nothing had looked on.
        assert imported.__loader__ is imported.__spec__.loader
        assert imported.__loader__.get_source(module).startswith("RUNS")
        importlib.reload(imported)
        assert called == [1]

    def test_two_that_wait_for_one_module(self, module):
        called = []
        after_import(module, lambda: called.append("first"))
        after_import(module, lambda: called.append("second"))
        importlib.import_module(module)
        assert sorted(called) == ["first", "second"]

    def test_an_import_that_fails_is_tried_again(self, module, tmp_path):
        called = []
        after_import("late_broken", lambda: called.append(1))
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("late_broken")
        (tmp_path / "late_broken.py").write_text("raise RuntimeError('no')\n")
        importlib.invalidate_caches()
        with pytest.raises(RuntimeError, match="no"):
            importlib.import_module("late_broken")
        assert called == []
        (tmp_path / "late_broken.py").write_text("OK = True\n")
        importlib.invalidate_caches()
        importlib.import_module("late_broken")
        assert called == [1]
