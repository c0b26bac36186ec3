"""Figure of scores of steered texts against the scale."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.base import checks
from ssae_lens.dashboards.drawings import plain

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

# Columns of `generate_sweep` that are no scores.
OTHERS = ("prompt", "vector", "method", "task", "scale", "sample", "text", "n_tokens", "stopped")
# Half-width of a 95 % interval, in standard errors.
Z = 1.96


def plot_steering_curve(table: "pd.DataFrame", scores: str | Sequence[str] = ()) -> "Figure":
    """Draw the mean of scores by scale, with a line for each vector and a panel for each score.

    Parameters
    ----------
    table
        The result of `generate_sweep`, to which columns of scores were added: a number for each text. Or the table of
        `evals.steering`.
    scores
        The columns to draw; by default all numeric ones that `generate_sweep` did not make.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars are 95 % intervals of the mean over texts (normal approximation), where there are several.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"vector": "calm", "scale": [0, 0, 1, 1], "text": "…", "calm": [0.1, 0.3, 0.8, 1.0]})
    >>> [trace.name for trace in plot_steering_curve(table).data]
    ['calm']
    """
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    by = "vector" if "vector" in table else "method"
    for name in (by, "scale"):
        checks.one_of("The table's column", name, list(table.columns))
    numeric = [str(name) for name in table.select_dtypes("number").columns if name not in OTHERS]
    names = [scores] if isinstance(scores, str) else list(scores) or numeric
    for name in names:
        checks.one_of("scores", name, numeric)
    if not names:
        raise ValueError(
            "The table has no column of scores; add one with a number for each text, as table['happy'] = [score(text) for "
            "text in table['text']]."
        )
    figure = make_subplots(cols=len(names), subplot_titles=[plain(name) for name in names], horizontal_spacing=0.08)
    for number, (group, rows) in enumerate(table.groupby(by, sort=False)):
        colour = qualitative.Dark24[number % 24]
        for column, name in enumerate(names, start=1):
            by_scale: Any = rows.groupby("scale")[name]
            mean, error = by_scale.mean(), np.nan_to_num(by_scale.sem().to_numpy())
            figure.add_scatter(
                x=mean.index.tolist(),
                y=mean.tolist(),
                error_y={"array": (Z * error).tolist(), "thickness": 1},
                mode="lines+markers",
                name=plain(group),
                legendgroup=str(number),
                showlegend=column == 1,
                line={"color": colour},
                row=1,
                col=column,
            )
    figure.update_xaxes(title="scale")
    return figure.update_layout(template="plotly_white", height=420, margin={"t": 60})
