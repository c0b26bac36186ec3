"""A sparse factor model of shifts, and its fit by expectation maximisation (EM).

A shift is a sum of few concepts' rows and correlated noise::

    x = Σ_{k ∈ S} s_k a_k + e,    e ~ N(0, N)

Concept k is in the support S with probability π_k. Its size s_k is ±N(1, τ_k²) where a change has one size, as on language
("signed"), or N(0, 1) ("gaussian"). The noise has a full covariance: it stands for what varies with content and context,
which a linear encoder cannot reject. The E step enumerates supports of up to `MAX_SUPPORT` of `CANDIDATES` latents per
shift; the M step is least squares on posterior moments.
"""

import itertools
import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

Slab = Literal["signed", "gaussian"]
# The latents considered for a shift, and the most of them that are active together.
CANDIDATES, MAX_SUPPORT = 6, 3
# The noise covariance is shrunk by this fraction to a multiple of the identity, …
SHRINKAGE = 0.05
# … and its mean variance is at least this fraction of that of the shifts.
MIN_NOISE = 1e-4
# The range of τ², and of π.
SIZE_VARIANCE, RATE = (0.01, 0.25), (1e-3, 0.6)
# Supports of a lower posterior probability do not enter the moments.
NEGLIGIBLE = 1e-3
# The shifts that an E step works on at once.
BLOCK = 2000


class SparseFactors(NamedTuple):
    """The parameters of the model."""

    rows: Float[Tensor, "h p"]
    size_variance: Float[Tensor, " h"]
    rate: Float[Tensor, " h"]
    noise: Float[Tensor, "p p"]
    slab: Slab = "signed"

    def without(self, latents: list[int]) -> "SparseFactors":
        """Return the model with some latents removed; what they explained becomes noise at the next M step."""
        keep = [latent for latent in range(len(self.rows)) if latent not in latents]
        return self._replace(rows=self.rows[keep], size_variance=self.size_variance[keep], rate=self.rate[keep])


class Posterior(NamedTuple):
    """What an E step knows of shifts: per shift and latent, and moments summed over shifts.

    `codes` are E[sign] for "signed" and E[s] for "gaussian"; `active` the probability of being in the support; `second` and
    `cross` the sums of E[s sᵀ] and E[s] xᵀ; `spread` the sum of E[(s − sign)²] over active latents.
    """

    codes: Float[Tensor, "n h"]
    active: Float[Tensor, "n h"]
    log_likelihood: Float[Tensor, " n"]
    second: Float[Tensor, "h h"]
    cross: Float[Tensor, "h p"]
    spread: Float[Tensor, " h"]


def start(
    shifts: Float[Tensor, "n p"], rows: Float[Tensor, "h p"], codes: Float[Tensor, "n h"], slab: Slab
) -> SparseFactors:
    """Return the model that a dictionary and its codes, zero where a latent is inactive, start from."""
    count = (codes != 0).sum(0).clamp(min=1)
    sizes = codes.abs().sum(0) / count if slab == "signed" else (codes.square().sum(0) / count).sqrt()
    noise = _regularised((shifts - codes @ rows).T @ (shifts - codes @ rows) / len(shifts), shifts)
    variance = torch.full_like(sizes, 0.09 if slab == "signed" else 1.0)
    rate = (codes != 0).to(shifts).mean(0).clamp(RATE[0], 0.5)
    return SparseFactors(rows * sizes.clamp(min=1e-12)[:, None], variance, rate, noise, slab)


def posterior_of(model: SparseFactors, shifts: Float[Tensor, "n p"]) -> Posterior:
    """Return the posterior of shifts (the E step)."""
    parts = [_infer_block(model, block) for block in shifts.split(BLOCK)]
    joined = [torch.cat([part[i] for part in parts]) for i in range(3)]
    return Posterior(*joined, *(sum(part[i] for part in parts) for i in range(3, 6)))  # pyright: ignore[reportArgumentType]


def gaussian_log_likelihood(shifts: Float[Tensor, "n p"], held_out: Float[Tensor, "m p"]) -> float:
    """Return the mean log-likelihood of held-out shifts under a Gaussian with the shrunk covariance of `shifts`."""
    factor = torch.linalg.cholesky(_regularised(shifts.T @ shifts / len(shifts), shifts))
    squares = torch.linalg.solve_triangular(factor, held_out.T, upper=False).square().sum(0)
    constant = shifts.shape[1] / 2 * math.log(2 * math.pi) + factor.diagonal().log().sum()
    return float(-constant - squares.mean() / 2)


def fit(model: SparseFactors, shifts: Float[Tensor, "n p"], iterations: int) -> SparseFactors:
    """Return the model after some iterations of EM; every one raises the likelihood, but for shrinkage and bounds."""
    for _ in range(iterations):
        model = _maximise(model, shifts, posterior_of(model, shifts))
    return model


def _maximise(model: SparseFactors, shifts: Float[Tensor, "n p"], posterior: Posterior) -> SparseFactors:
    second, cross, n = posterior.second, posterior.cross, len(shifts)
    ridge = 1e-9 * second.trace() / len(second) * torch.eye(len(second)).to(second)
    rows = torch.linalg.solve(second + ridge, cross)
    residual = (shifts.T @ shifts - rows.T @ cross - cross.T @ rows + rows.T @ second @ rows) / n
    variance = model.size_variance
    if model.slab == "signed":
        variance = (posterior.spread / posterior.active.sum(0).clamp(min=1)).clamp(*SIZE_VARIANCE)
    rate = posterior.active.mean(0).clamp(*RATE)
    return SparseFactors(rows, variance, rate, _regularised(residual, shifts), model.slab)


def _regularised(noise: Float[Tensor, "p p"], shifts: Float[Tensor, "n p"]) -> Float[Tensor, "p p"]:
    """Return a noise covariance that is symmetric, shrunk and bounded from below."""
    identity = torch.eye(len(noise)).to(noise)
    noise = (noise + noise.T) / 2
    noise = (1 - SHRINKAGE) * noise + SHRINKAGE * noise.diagonal().mean() * identity
    return noise + MIN_NOISE * shifts.square().mean() * identity


class _Products(NamedTuple):
    """Inner products of shifts and rows after whitening by the noise."""

    with_rows: Float[Tensor, "n h"]
    of_rows: Float[Tensor, "h h"]
    squares: Float[Tensor, " n"]


def _log_joint(
    model: SparseFactors, products: _Products, shift: Int[Tensor, " q"], support: Int[Tensor, "q k"]
) -> tuple[Float[Tensor, "q g"], Float[Tensor, "q g k"], Float[Tensor, "q k k"]]:
    """Return log p(x, S, signs), relative to the empty support, with the mean and the covariance of the sizes.

    Given the support and the signs g, sizes are Gaussian with precision P = A N⁻¹ Aᵀ + T⁻¹ and mean P⁻¹ (A N⁻¹ x + T⁻¹ g),
    T = diag(τ²), and log p = ½ tᵀ P⁻¹ t − ½ gᵀ T⁻¹ g − ½ log |P| − ½ log |T| + Σ log (π / (1 − π)), t = A N⁻¹ x + T⁻¹ g.
    """
    k = support.shape[1]
    signs = _signs(k, model.slab).to(products.of_rows)
    distinct, which = torch.unique(support, dim=0, return_inverse=True)
    variance = model.size_variance[distinct]
    precision = products.of_rows[distinct[:, :, None], distinct[:, None, :]] + torch.diag_embed(1 / variance)
    factor = torch.linalg.cholesky(precision)
    covariance = torch.cholesky_inverse(factor)
    prior = (model.rate / (1 - model.rate)).log()[distinct].sum(1) - math.log(len(signs))
    constant = prior - factor.diagonal(dim1=1, dim2=2).log().sum(1) - variance.log().sum(1) / 2
    pull = signs / variance[:, None, :]
    constant = constant[:, None] - (pull * signs).sum(2) / 2
    target = products.with_rows[shift[:, None], support][:, None, :] + pull[which]
    covariance = covariance[which]
    mean = target @ covariance
    return constant[which] + (target * mean).sum(2) / 2, mean, covariance


def _signs(k: int, slab: Slab) -> Float[Tensor, "g k"]:
    return torch.tensor(list(itertools.product((1.0, -1.0), repeat=k))) if slab == "signed" else torch.zeros(1, k)


def _candidates(model: SparseFactors, products: _Products) -> Int[Tensor, "n c"]:
    """Return for each shift the latents with the most evidence, alone or beside the one with the most alone."""
    n, h = products.with_rows.shape
    shift, latent = torch.cartesian_prod(torch.arange(n), torch.arange(h)).to(products.with_rows.device).T
    alone = _log_joint(model, products, shift, latent[:, None])[0].amax(1).reshape(n, h)
    best = alone.argmax(1)
    if h == 1:
        return best[:, None]
    other = torch.where(latent == best[shift], (latent + 1) % h, latent)
    pairs = torch.stack([best[shift], other], 1).sort(1).values
    beside = _log_joint(model, products, shift, pairs)[0].amax(1).reshape(n, h) - alone.gather(1, best[:, None])
    score = torch.maximum(alone, beside).scatter(1, best[:, None], float("inf"))
    return score.topk(min(CANDIDATES, h), dim=1).indices.sort(1).values


def _infer_block(model: SparseFactors, shifts: Float[Tensor, "n p"]) -> Posterior:
    n, (h, p) = len(shifts), model.rows.shape
    factor = torch.linalg.cholesky(model.noise)
    white, rows = (torch.linalg.solve_triangular(factor, side.T, upper=False).T for side in (shifts, model.rows))
    products = _Products(white @ rows.T, rows @ rows.T, white.square().sum(1))
    candidates = _candidates(model, products)
    supports = [
        torch.tensor(list(itertools.combinations(range(candidates.shape[1]), k))).to(candidates)
        for k in range(1, min(MAX_SUPPORT, candidates.shape[1]) + 1)
    ]
    joints = []
    for places in supports:
        support = candidates[:, places].reshape(-1, places.shape[1])
        shift = torch.arange(n, device=shifts.device).repeat_interleave(len(places))
        joints.append((shift, support, *_log_joint(model, products, shift, support)))
    scores = torch.cat([torch.zeros(n, 1).to(shifts), *(joint[2].reshape(n, -1) for joint in joints)], 1)
    evidence = scores.logsumexp(1)
    codes, active, mean_sizes = (torch.zeros(n, h).to(shifts) for _ in range(3))
    second, spread = torch.zeros(h * h).to(shifts), torch.zeros(h).to(shifts)
    for shift, support, score, mean, covariance in joints:
        weight = (score - evidence[shift, None]).exp()
        likely = weight.sum(1) > NEGLIGIBLE
        shift, support, weight, mean, covariance = (  # noqa: PLW2901 - the same, fewer
            values[likely] for values in (shift, support, weight, mean, covariance)
        )
        total, signs = weight.sum(1), _signs(support.shape[1], model.slab).to(shifts)
        sizes = (weight[:, :, None] * mean).sum(1)
        moments = torch.einsum("qg,qgi,qgj->qij", weight, mean, mean) + total[:, None, None] * covariance
        at = (shift[:, None].expand_as(support), support)
        codes.index_put_(at, weight @ signs if model.slab == "signed" else sizes, accumulate=True)
        active.index_put_(at, total[:, None].expand_as(support).contiguous(), accumulate=True)
        mean_sizes.index_put_(at, sizes, accumulate=True)
        # index_add_ would not be deterministic on a GPU.
        pairs = (support[:, :, None] * h + support[:, None, :]).flatten()
        second.index_put_((pairs,), moments.flatten(), accumulate=True)
        # E[(s − g)²] = E[s²] − 2 E[s g] + E[g²]
        deviation = (weight[:, :, None] * (signs.square() - 2 * signs * mean)).sum(1)
        deviation = deviation + moments.diagonal(dim1=1, dim2=2)
        spread.index_put_((support.flatten(),), deviation.flatten(), accumulate=True)
    log_noise = factor.diagonal().log().sum() + p * math.log(2 * math.pi) / 2
    likelihood = evidence + (1 - model.rate).log().sum() - products.squares / 2 - log_noise
    return Posterior(codes, active, likelihood, second.reshape(h, h), mean_sizes.T @ shifts, spread)
