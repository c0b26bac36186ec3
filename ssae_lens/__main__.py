"""The program `ssae-lens`, which `python -m ssae_lens` runs as well."""

import os
import sys


def main() -> None:
    """Run the command line. Interrupted while it is still being imported, it ends as an interrupted command does."""
    # A model that the Hub does not have is one line, without one for each try.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    try:
        from ssae_lens.cli import app
    except KeyboardInterrupt:
        print("ssae-lens: interrupted.", file=sys.stderr)  # noqa: T201 - the program's own message
        sys.exit(130)
    app(prog_name="ssae-lens")


if __name__ == "__main__":
    main()
