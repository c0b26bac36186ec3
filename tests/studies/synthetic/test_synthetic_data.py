import numpy as np
import pytest

from ssae_lens.evals.synthetic_data import cat, dgp, synthetic_shifts

N = 20_000


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_reference_codes_worlds(number):
    made = dgp(number, n=N)
    counts = (made.codes != 0).sum(1)
    # U{0..5}: each number of changes in a sixth of the rows.
    np.testing.assert_allclose(np.bincount(counts, minlength=7) / N, [1 / 6] * 6 + [0], atol=0.012)
    np.testing.assert_allclose((made.codes != 0).mean(0), 2.5 / 9, atol=0.015)
    np.testing.assert_allclose(made.shifts, made.codes @ made.directions, rtol=1e-4, atol=1e-4)
    assert made.directions.shape == (9, 9)
    assert set(np.unique(made.directions)) <= set(range(1, 9))
    assert abs(np.linalg.det(made.directions.astype(float))) > 0.5
    assert np.linalg.cond(made.directions) <= 200


def test_values_of_the_reference_codes_worlds():
    one, two, three = (dgp(number, n=N).codes for number in (1, 2, 3))
    assert set(np.unique(one)) == {0.0, 1.0}
    for codes, mean, sd in ((two, 0.5, 12**-0.5), (three, 0.0, 1.0)):
        values = codes[codes != 0]
        assert values.mean() == pytest.approx(mean, abs=0.02)
        assert values.std() == pytest.approx(sd, abs=0.02)
    assert two[two != 0].min() > 0
    assert two.max() < 1


def test_any_mixing_that_can_be_inverted():
    worst = max(np.linalg.cond(dgp(1, n=5, seed=seed, max_condition=None).directions) for seed in range(10))
    assert worst > 200


@pytest.mark.parametrize(
    ("law", "mean", "variance"), [("uniform", 0.5, 1 / 12), ("constant", 1, 0), ("signs", 0, 1), ("laplace", 0, 2)]
)
def test_laws_of_values(law, mean, variance):
    made = synthetic_shifts(8, 4, magnitudes=law, n=N)
    values = made.codes[made.codes != 0].astype(float)
    assert values.mean() == pytest.approx(mean, abs=0.04)
    assert values.var() == pytest.approx(variance, abs=0.1)


def test_how_many_change():
    made = synthetic_shifts(16, 10, max_changed=4, n=N)
    counts = np.bincount((made.codes != 0).sum(1), minlength=6) / N
    np.testing.assert_allclose(counts, [0, 0.25, 0.25, 0.25, 0.25, 0], atol=0.015)
    assert made.max_changed == 4


@pytest.mark.parametrize("correlation", [0.3, 0.5, 0.9])
def test_correlation_of_changes(correlation):
    changed = synthetic_shifts(16, 10, correlation=correlation, n=4 * N).codes != 0
    found = np.corrcoef(changed.T)
    np.testing.assert_allclose(found[np.arange(0, 10, 2), np.arange(1, 10, 2)], correlation, atol=0.03)
    others = found[np.triu_indices(10, 1)]
    assert np.sort(abs(others))[:-5].max() < 0.2  # a fixed number of changes spread over few pairs
    np.testing.assert_allclose(changed.mean(0), 0.2, atol=0.01)


def test_correlation_of_values():
    codes = synthetic_shifts(16, 10, correlation=0.9, value_correlation=0.7, n=4 * N).codes
    both = (codes[:, 0] != 0) & (codes[:, 1] != 0)
    assert np.corrcoef(codes[both, 0], codes[both, 1])[0, 1] == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("decibels", [20, 6, 0])
def test_noise(decibels):
    made = synthetic_shifts(32, 10, noise_db=decibels, n=N)
    clean = made.codes @ made.directions
    noise = made.shifts - clean
    assert 10 * np.log10((clean**2).sum() / (noise**2).sum()) == pytest.approx(decibels, abs=0.05)
    assert abs(np.corrcoef(noise[:, :5].T)[np.triu_indices(5, 1)]).max() < 0.03


@pytest.mark.parametrize(("d", "c"), [(20, 8), (8, 20), (8, 8)])
def test_condition(d, c):
    directions = synthetic_shifts(d, c, condition=50, n=10).directions
    assert np.linalg.cond(directions) == pytest.approx(50, rel=1e-3)
    assert np.linalg.norm(directions, axis=1).mean() == pytest.approx(1, rel=1e-5)


def test_bend_is_the_share_of_energy_beyond_the_direction():
    made = synthetic_shifts(64, 6, max_changed=1, magnitudes="constant", context_dependence=0.3, n=N)
    for concept, direction in enumerate(made.directions):
        rows = made.shifts[made.codes[:, concept] != 0]
        along = rows @ direction
        assert (along**2).sum() / (rows**2).sum() == pytest.approx(0.7, abs=0.01)
        mean = rows.mean(0) / np.linalg.norm(rows.mean(0))
        assert mean @ direction == pytest.approx(1, abs=0.01)
        assert len(np.unique(rows.round(4), axis=0)) == 8


def test_nonlinearity_leaves_less_to_a_line():
    def unexplained(share):
        made = synthetic_shifts(32, 10, nonlinearity=share, n=4000)
        fit, *_ = np.linalg.lstsq(made.codes, made.shifts, rcond=None)
        return ((made.shifts - made.codes @ fit) ** 2).sum() / (made.shifts**2).sum()

    found = [unexplained(share) for share in (0.0, 0.3, 0.6, 1.0)]
    assert found[0] < 1e-8
    assert found == sorted(found)
    assert found[-1] > 0.05


def test_categories():
    made = cat(n=N)
    assert made.directions.shape == (135, 512)
    assert set(np.unique(made.codes)) == {-1.0, 0.0, 1.0}
    active = abs(made.codes).reshape(N, 3, 45).sum(2)
    assert active.max() == 1  # an attribute changes from one value to one other
    np.testing.assert_allclose(np.bincount(active.sum(1).astype(int)) / N, [0, 1 / 3, 1 / 3, 1 / 3], atol=0.012)
    np.testing.assert_allclose(abs(made.codes).mean(0), 2 / 3 / 45, atol=0.006)
    assert abs(made.codes.mean(0)).max() < 0.006  # both ways equally often
    np.testing.assert_allclose(made.shifts, made.codes @ made.directions, atol=1e-4)
    cosines = made.directions @ made.directions.T
    assert abs(cosines[np.triu_indices(135, 1)]).max() < 0.3


def test_split_and_repetition():
    first, again, other = (
        synthetic_shifts(8, 4, n=100, seed=1),
        synthetic_shifts(8, 4, n=100, seed=1),
        synthetic_shifts(8, 4, n=100, seed=2),
    )
    np.testing.assert_array_equal(first.shifts, again.shifts)
    assert not np.array_equal(first.shifts, other.shifts)
    assert first.shifts.dtype == np.float32
    np.testing.assert_array_equal(np.concatenate([first.train, first.test]), first.shifts)
    assert len(first.test) == len(first.test_codes) == 20


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_changed": 9}, "max_changed is 9, of 4 concepts"),
        ({"n_concepts": 5, "correlation": 0.5}, "come in pairs"),
        ({"correlation": 1.5}, "correlation is 1.5"),
        ({"magnitudes": "norml"}, "Did you mean 'normal'"),
        ({"condition": 0.5}, "condition is 0.5"),
        ({"d": 0}, "d is 0"),
    ],
)
def test_what_cannot_be(given, words):
    with pytest.raises(ValueError, match=words):
        synthetic_shifts(**{"d": 8, "n_concepts": 4, "n": 10, **given})
