"""The program `ssae-lens`, also run by `python -m ssae_lens`."""

import os
import sys


def main() -> None:
    """Run the command line; an interruption during its import ends with the status of an interrupted command."""
    # Without this, huggingface_hub prints a line for each attempt to find a model that the Hub does not have.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    try:
        from ssae_lens.cli import app
    except KeyboardInterrupt:
        print("ssae-lens: interrupted.", file=sys.stderr)  # noqa: T201 - the program's own message
        sys.exit(130)
    app(prog_name="ssae-lens")


if __name__ == "__main__":
    main()
