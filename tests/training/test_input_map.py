import pytest
import torch

from ssae_lens.training.config import ProblemConfig
from ssae_lens.training.input_map import fit_input, root_mean_square, row_space

D, R = 12, 5
MAPS = ["balanced", "subspace", "whiten", "none"]


@pytest.fixture
def shifts():
    spread = torch.diag(torch.linspace(3, 0.2, D))
    return torch.randn(4000, D) @ spread @ torch.linalg.qr(torch.randn(D, D)).Q * 7 + 1


def problem(kind, **more):
    return ProblemConfig(d_sae=R, input=kind, **more)


def leading(shifts, n):
    """The projection onto the n leading directions, about zero."""
    _, _, vectors = torch.linalg.svd(shifts.double(), full_matrices=False)
    return vectors[:n].T @ vectors[:n]


@pytest.mark.parametrize("kind", MAPS)
def test_what_the_encoder_reads(kind, shifts):
    read = fit_input(shifts, problem(kind)).apply(shifts)
    assert read.norm(dim=1).mean().item() == pytest.approx(1, rel=1e-4)
    assert read.shape[1] == fit_input(shifts, problem(kind)).width(D)


@pytest.mark.parametrize("kind", ["balanced", "subspace", "whiten"])
def test_there_and_back_is_the_projection_onto_leading_directions(kind, shifts):
    found = fit_input(shifts, problem(kind))
    assert found.encode.shape == (D, R if kind == "whiten" else 8)
    torch.testing.assert_close(
        (found.encode @ found.decode).double(), leading(shifts, len(found.decode)), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(found.decode @ found.encode, torch.eye(len(found.decode)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("kind", "power"), [("subspace", 1.0), ("balanced", 0.5), ("whiten", 0.0)])
def test_scales_of_the_directions(kind, power, shifts):
    """Second moments, from the data's own to equal ones: balanced is half way on a log scale."""
    read = fit_input(shifts, problem(kind)).apply(shifts).double()
    moments = read.T @ read / len(read)
    sizes = torch.linalg.svdvals(shifts.double())[: len(moments)].square() ** power
    wanted = torch.diag(sizes / sizes.sum() * moments.trace())
    torch.testing.assert_close(moments, wanted, rtol=0, atol=1e-4)


def test_no_more_directions_than_the_data_has():
    flat = torch.randn(300, 3) @ torch.randn(3, D)
    assert fit_input(flat, problem("whiten")).encode.shape == (D, 3)


def test_shifts_keep_their_length_where_it_means_something(shifts):
    for more in ({"level": 1.0, "level_unit": "absolute"}, {"sample_norm": "layer"}, {"sample_norm": "standardise"}):
        assert torch.equal(fit_input(shifts, problem("none", **more)).apply(shifts), shifts)


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("size", [1e-30, 1e-9, 16.0, 1e9, 1e30])
def test_the_encoder_reads_the_same_whatever_the_unit_of_the_shifts(kind, size, shifts):
    plain, other = fit_input(shifts, problem(kind)), fit_input(shifts * size, problem(kind))
    read, given = plain.apply(shifts), other.apply(shifts * size)
    signs = (read * given).sum(0).sign() if kind != "none" else 1
    torch.testing.assert_close(given * signs, read, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(other.restore(given) / size, plain.restore(read), rtol=1e-3, atol=1e-3)
    rows = other.restore(torch.randn(R, other.width(D)))
    torch.testing.assert_close(other.lengths(rows).double(), rows.double().norm(dim=1))
    assert 0.5 <= root_mean_square(shifts * size) * other.unit <= 2
    if size == 16:
        assert torch.equal(read, given)


@pytest.mark.parametrize(
    ("more", "size", "why"),
    [
        ({"sample_norm": "layer"}, 1e-6, r"sample_norm='layer' needs one from 0.001 to 1e\+15"),
        ({"sample_norm": "standardise"}, 1e20, "sample_norm='standardise' needs one from"),
        ({"level": 1.0, "level_unit": "absolute"}, 1e-20, "an absolute level with input='none' needs one from"),
    ],
)
def test_own_units_that_would_be_lost_in_rounding(more, size, why, shifts):
    with pytest.raises(ValueError, match=rf"The shifts have a root mean square of .* {why}.*; multiply them"):
        fit_input(shifts * size, problem("none", **more))


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_row_space(size, shifts):
    flat = torch.randn(300, 3) @ torch.randn(3, D)
    found = row_space(flat * size)
    assert found.shape == (D, 3)
    torch.testing.assert_close(found.T @ found, torch.eye(3))
    torch.testing.assert_close(flat @ found @ found.T, flat, rtol=1e-3, atol=1e-3)
    assert row_space(shifts * size).shape == (D, D)


def test_root_mean_square():
    rows = torch.randn(10_000, 3)
    wanted = rows.double().square().mean().sqrt().item()
    for size in (1e-30, 1.0, 1e30):
        assert root_mean_square(rows * size) / size == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", MAPS)
def test_fold(kind, shifts):
    """Weights that read what the map gives, and those that read shifts, do the same."""
    found = fit_input(shifts, problem(kind))
    width = found.width(D)
    W_enc, rows = torch.randn(width, R), torch.randn(R, width)
    torch.testing.assert_close(shifts @ found.fold(W_enc), found.apply(shifts) @ W_enc, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.apply(found.restore(rows)), rows, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["balanced", "none"])
def test_fit_mean_abs_is_that_of_principal_components(kind, shifts):
    from sklearn.decomposition import TruncatedSVD

    found = fit_input(shifts, problem(kind))
    read = found.apply(shifts).numpy()
    codes = TruncatedSVD(R, algorithm="arpack" if read.shape[1] > R else "randomized").fit_transform(read)
    assert found.fit_mean_abs == pytest.approx(abs(codes).mean(), rel=1e-3)


@pytest.mark.parametrize("kind", ["balanced", "subspace", "whiten", "none"])
def test_floor_is_what_principal_components_lose(kind, shifts):
    found = fit_input(shifts, problem(kind))
    sizes = torch.linalg.svdvals(found.apply(shifts).double()).square()
    assert found.floor == pytest.approx((sizes[R:].sum() / sizes.sum()).item(), abs=1e-5)
    assert (found.floor > 0.01) == (kind != "whiten")


def test_fit_mean_abs_is_of_what_is_normalised(shifts):
    """Normalised codes have a size of their own, whatever the shifts' is."""
    for kind in ("layer", "batch"):
        found = [fit_input(s * shifts, problem("none", code_norm=kind)).fit_mean_abs for s in (1, 100)]
        assert found[0] == pytest.approx(found[1], rel=1e-2)
        assert 0.5 < found[0] < 1
    long = [fit_input(s * shifts, problem("none", sample_norm="layer")).fit_mean_abs for s in (1, 100)]
    assert long[0] == pytest.approx(long[1], rel=1e-3)
