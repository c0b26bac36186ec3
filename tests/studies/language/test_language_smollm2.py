"""What must hold of SmolLM2 itself, as far as it can be seen in under a minute."""

import pytest

from studies.language import LanguageRow, study


@pytest.mark.slow
def test_gender_is_found_alike_from_every_seed_and_its_latent_is_known(tmp_path):
    """At the width chosen without labels; of words, each learned from or held out."""
    result = study(
        rows=[LanguageRow("methods", "gender", "gender")], out=tmp_path, quick=True, seeds=2, workers=1, quiet=True
    )
    (cell,) = result.cells
    assert cell["stability"] >= 0.99
    for fit in cell["fits"]:
        assert fit["same_latent"] == 1
        assert fit["mcc"] > 2 * cell["mcc_chance"]
        assert fit["mcc"] > 2 * fit["mcc_shuffled"]
        assert fit["mcc"] <= cell["ceiling"]
