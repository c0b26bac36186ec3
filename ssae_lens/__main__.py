"""`python -m ssae_lens` is the command `ssae-lens`."""

from ssae_lens.cli import app

if __name__ == "__main__":
    app(prog_name="ssae-lens")
