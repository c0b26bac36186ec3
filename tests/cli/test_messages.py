"""What Python functions say of their arguments, in a command's options."""

import pytest

from ssae_lens.cli.messages import Option, in_options

OPTIONS = {
    "d_sae": Option("--d-sae"),
    "kind": Option("--kind"),
    "n": Option("--n"),
    "columns": Option("--columns"),
    "label_columns": Option("--label-columns"),
    "check": Option("--check", "--no-check", switch=True),
    "overwrite": Option("--overwrite", switch=True),
    "scale": Option("--scale"),
}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('Open it with kind="bridge".', "Open it with --kind bridge."),
        ("make the vector again, or pass check=False.", "make the vector again, or pass --no-check."),
        ("it exists; give overwrite=True to replace it.", "it exists; give --overwrite to replace it."),
        ("steer with scale=0 to change nothing.", "steer with --scale 0 to change nothing."),
        ("d_sae is 'x'; it must be", "--d-sae is 'x'; it must be"),
        ("d_sae must be a positive integer, got 0.", "--d-sae must be a positive integer, got 0."),
        ("There are 3 pairs here; n is 21; ask for fewer.", "There are 3 pairs here; --n is 21; ask for fewer."),
        ("capture more pairs or lower d_sae.", "capture more pairs or lower --d-sae."),
        ('Say which: columns={"source": "…"}.', "Say which: --columns source=…."),
        ("label_columns=['tense', 'voice'].", "--label-columns tense --label-columns voice."),
        # Names that only look like arguments.
        ("'d_sae' in /tmp/d_sae.h5 or cfg.d_sae", "'d_sae' in /tmp/d_sae.h5 or cfg.d_sae"),
        ("There is no file /data/kind=x/n=3.csv", "There is no file /data/kind=x/n=3.csv"),
        ("reads rows of d_in=4, has d_model=8", "reads rows of d_in=4, has d_model=8"),
    ],
)
def test_arguments_become_options(said, expected):
    assert in_options(said, OPTIONS, "train") == expected


def test_an_argument_without_an_option_is_said_to_have_none():
    said = in_options("give one: features=Features(sae, hook_name).", OPTIONS, "decomposition")
    assert said == (
        "give one: features=Features(sae, hook_name). "
        "(features: an argument of the Python function, without an option of decomposition.)"
    )


def test_settings_of_a_file_are_written_as_the_file_has_them():
    said = in_options("with sparsity='smooth'; give a budget, or sparsity='l1'.", OPTIONS, "train", settings=True)
    assert said == "with sparsity: 'smooth'; give a budget, or sparsity: 'l1'."
