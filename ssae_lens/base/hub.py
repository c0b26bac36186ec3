"""The Hugging Face Hub: what went wrong there, said in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from ssae_lens.base.checks import did_you_mean


@contextmanager
def explained(repo_id: str, sae_id: str = "") -> Iterator[None]:
    """Turn the errors of huggingface_hub in the block into one line each.

    A missing repository or file, or one that is neither cached nor reachable, is a FileNotFoundError; a Hub that cannot be
    written to, a ConnectionError; a name that cannot be one, a ValueError.
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
        # huggingface_hub lets the transport's own errors out, and has changed its transport more than once.
        if type(error).__module__.partition(".")[0] not in {
            "httpx",
            "httpx2",
            "httpcore",
            "requests",
        } and not isinstance(error, ConnectionError):
            raise
        raise ConnectionError(
            f"{constants.ENDPOINT} cannot be reached for {repo_id!r} ({_line(error)}); check the network and HF_HUB_OFFLINE."
        ) from None


def _ids_in(repo_id: str, sae_id: str) -> str:
    from huggingface_hub import HfApi

    files = [each.rfilename for each in HfApi().model_info(repo_id).siblings or []]
    ids = sorted(each.removesuffix("/cfg.json") for each in files if each.endswith("/cfg.json"))
    return f" It holds {', '.join(map(repr, ids)) or 'none'}.{did_you_mean(sae_id, ids)}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
