"""Each error of huggingface_hub's becomes one line of the kind it is promised to be."""

from types import SimpleNamespace

import pytest
from huggingface_hub import errors

from ssae_lens.base import hub


def answered(kind):
    return kind("first line\nsecond line", response=SimpleNamespace(headers={}, request=None))


@pytest.mark.parametrize(
    ("error", "kind", "expected"),
    [
        (answered(errors.RepositoryNotFoundError), FileNotFoundError, "no repository 'a/b'"),
        (answered(errors.GatedRepoError), FileNotFoundError, "'a/b' is gated"),
        (
            answered(errors.HfHubHTTPError),
            ConnectionError,
            "refused the request about 'a/b': first line second line",
        ),
        (errors.LocalEntryNotFoundError("x\ny"), FileNotFoundError, "'a/b' is not in the cache"),
        (errors.HFValidationError("bad\nname"), ValueError, "repo_id is 'a/b', which the Hub does not allow: bad name"),
        (errors.OfflineModeIsEnabled("off"), ConnectionError, "cannot be reached for 'a/b'"),
        (ConnectionResetError("reset\nby peer"), ConnectionError, r"cannot be reached for 'a/b' \(reset by peer\)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_kinds(error, kind, expected):
    with pytest.raises(kind, match=expected) as caught, hub.explained("a/b", "c"):
        raise error
    assert "\n" not in str(caught.value)


def test_what_is_not_about_the_hub_passes():
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught, hub.explained("a/b"):
        raise error
    assert caught.value is error
