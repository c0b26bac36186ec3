"""Errors of the Hugging Face Hub as one line each."""

from collections.abc import Iterator
from contextlib import contextmanager

from ssae_lens.base.checks import did_you_mean

TRANSPORTS = {"httpx", "httpx2", "httpcore", "requests"}


@contextmanager
def explained(repo_id: str, sae_id: str = "") -> Iterator[None]:
    """Turn the errors of huggingface_hub in the block into one line each.

    A missing repository or file, or one that is neither cached nor reachable, is a FileNotFoundError; a refused or failed
    request, a ConnectionError; an invalid name, a ValueError.
    """
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.HFValidationError as error:
        raise ValueError(f"repo_id is {repo_id!r}, which the Hub does not allow: {_line(error)}") from None
    except errors.GatedRepoError:
        raise FileNotFoundError(
            f"The repository {repo_id!r} is gated; ask for access on its page, then `hf auth login`."
        ) from None
    except errors.RepositoryNotFoundError:
        raise FileNotFoundError(
            f"There is no repository {repo_id!r} at {constants.ENDPOINT}, or it is private; check the name, or log in with "
            "`hf auth login`."
        ) from None
    except errors.LocalEntryNotFoundError:
        raise FileNotFoundError(
            f"{repo_id!r} is not in the cache ({constants.HF_HUB_CACHE}), and {constants.ENDPOINT} cannot be reached; "
            "check the network and HF_HUB_OFFLINE, or load a folder with load_from_disk."
        ) from None
    except errors.EntryNotFoundError:
        raise FileNotFoundError(f"{repo_id!r} holds no SAE {sae_id!r}.{_ids_in(repo_id, sae_id)}") from None
    except errors.HfHubHTTPError as error:
        raise ConnectionError(f"{constants.ENDPOINT} refused the request about {repo_id!r}: {_line(error)}") from None
    except Exception as error:
        # Errors of the HTTP library pass through huggingface_hub, which has changed that library more than once.
        if type(error).__module__.partition(".")[0] not in TRANSPORTS and not isinstance(error, ConnectionError):
            raise
        raise ConnectionError(
            f"{constants.ENDPOINT} cannot be reached for {repo_id!r} ({_line(error)}); check the network and HF_HUB_OFFLINE."
        ) from None


def _ids_in(repo_id: str, sae_id: str) -> str:
    from huggingface_hub import HfApi

    names = [sibling.rfilename for sibling in HfApi().model_info(repo_id).siblings or []]
    ids = sorted(name.removesuffix("/cfg.json") for name in names if name.endswith("/cfg.json"))
    return f" It holds {', '.join(map(repr, ids)) or 'none'}.{did_you_mean(sae_id, ids)}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
