"""Synthetic shifts of eight concepts, of which the first is split into three features, a latent for each."""

import torch

N, D, CONCEPTS = 4000, 32, 8
# The first concept has three directions, each a sum of its own and a shared one; the last has the opposite sign.
WAYS, TURNED = (0, 1, 2), 2


def split_features(max_changed=3, alike=0.8, seed=0):
    """Return signed codes of ten latents of eight concepts, one to `max_changed` of them at a time, and their directions."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(N, CONCEPTS, generator=generator).argsort(1)
    changed = order < torch.randint(1, max_changed + 1, (N, 1), generator=generator)
    signs = torch.randint(0, 2, (N, CONCEPTS), generator=generator) * 2.0 - 1
    way = torch.nn.functional.one_hot(torch.randint(0, 3, (N,), generator=generator), 3)
    codes = torch.cat([(signs * changed)[:, :1] * way, (signs * changed)[:, 1:]], 1)
    basis = torch.linalg.qr(torch.randn(D, 11, generator=generator))[0].T
    rows = basis[:10].clone()
    rows[:3] = alike * basis[10] + (1 - alike**2) ** 0.5 * basis[:3]
    return codes * torch.tensor([1.0, 1, -1, *[1] * 7]), rows * torch.tensor([1.0, 1, -1, *[1] * 7])[:, None]


def split_shifts(seed=2):
    """Return shifts of these concepts, of varying sizes."""
    codes, rows = split_features()
    sizes = 0.5 + torch.rand(codes.shape, generator=torch.Generator().manual_seed(seed))
    return codes * sizes @ rows
