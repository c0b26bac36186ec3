"""A figure for each finding of the study."""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from studies.decomposition.measure import AROUND, BETWEEN, BY_CHANCE, OWN, POSITIVE, PURSUIT
from studies.decomposition.reading import AS_IT_IS, NO_THRESHOLD
from studies.decomposition.verdicts import code_of, lengths_of

if TYPE_CHECKING:
    from studies.decomposition.result import Result

BLUE, ORANGE, GREEN, PURPLE, GREY = "#2f7fc4", "#cf5f10", "#12946f", "#b65fc4", "#7b8490"


def figures(result: "Result") -> dict[str, Any]:
    """Draw each finding."""
    drawn = {name: draw(result) for name, draw in DRAWN.items()}
    if any("ssae" in each for each in result.vectors):
        drawn["SSAE"] = _ssae(result)
    return drawn


def _norms(result: "Result") -> Any:
    """Draw norms of vectors among those of activations."""
    import plotly.graph_objects as go

    seen = result.activations
    edges = seen["histogram"]["edges"]
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    figure = go.Figure(go.Bar(x=middles, y=seen["histogram"]["counts"], name="activations", marker_color=BLUE))
    for each in result.vectors:
        figure.add_vline(x=each["norm"], line={"color": ORANGE, "width": 1})
    norms, names = [each["norm"] for each in result.vectors], [each["cell"]["task"] for each in result.vectors]
    figure.add_trace(
        go.Scatter(x=norms, y=[0] * len(norms), text=names, mode="markers", name="vectors", marker_color=ORANGE)
    )
    return _titled(figure, "Norms of steering vectors among those of activations", "norm", "tokens")


def _zero(result: "Result") -> Any:
    """Draw codes of vectors at the zero vector's strongest features, with no threshold."""
    import plotly.graph_objects as go

    zero = result.activations["zero"][NO_THRESHOLD]["features"]
    names = [str(each["feature"]) for each in zero]
    figure = go.Figure(go.Bar(x=names, y=[each["value"] for each in zero], name="zero vector", marker_color=ORANGE))
    for each in result.vectors:
        code = {str(row["feature"]): row["value"] for row in code_of(each, OWN, NO_THRESHOLD)["features"]}
        figure.add_trace(
            go.Scatter(x=names, y=[code.get(name) for name in names], mode="markers", name=each["cell"]["task"])
        )
    figure.update_xaxes(type="category")
    title = "Strongest features of the zero vector, and of vectors at their own length, with no threshold"
    plain = result.activations["zero"][AS_IT_IS]["used"]
    return _titled(figure, title, f"feature (the SAE as it is: {plain} features of the zero vector)", "code")


def _scaling(result: "Result") -> Any:
    """Draw what the SAE explains of vectors, and how many features it uses, by length."""
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, subplot_titles=("explained", "active features"))
    lengths = lengths_of(result.vectors[0])
    for each in result.vectors:
        codes = [code_of(each, length, AS_IT_IS) for length in lengths]
        for column, name in enumerate(("explained", "active"), start=1):
            values = [code[name] for code in codes]
            figure.add_scatter(
                x=lengths, y=values, name=each["cell"]["task"], legendgroup=each["cell"]["task"], row=1, col=column,
                showlegend=column == 1,
            )  # fmt: skip
    for column, name in enumerate(("explained", "active"), start=1):
        figure.add_hline(y=result.activations[name], line={"dash": "dot"}, row=1, col=column)  # pyright: ignore[reportArgumentType]
    figure.update_xaxes(type="category")
    return _titled(figure, "Vectors scaled up, read by the SAE (dotted: activations)", "length, in mean norms", "")


def _negative(result: "Result") -> Any:
    """Draw the features that change most between a behaviour's texts: rising ones, and falling ones, which a code lacks."""
    import plotly.graph_objects as go

    names = [each["cell"]["task"] for each in result.vectors]
    figure = go.Figure()
    for title, sign, colour in (("rise", 1, BLUE), ("fall", -1, ORANGE)):
        counts = [sum(row["change"] * sign > 0 for row in each["changed"]) for each in result.vectors]
        figure.add_bar(x=names, y=counts, name=title, marker_color=colour)
    lengths = lengths_of(result.vectors[0])
    kept = [
        max(code["negative"] - code["lost"] for code in (code_of(each, k, AS_IT_IS) for k in lengths))
        for each in result.vectors
    ]
    figure.add_scatter(x=names, y=kept, mode="markers", name="falling ones in any code", marker_color=GREY)
    return _titled(figure, "Features that change most between texts with and without a behaviour", "", "features")


def _spurious(result: "Result") -> Any:
    """Draw how many of a code's features hardly fire in the behaviour's texts, by length."""
    import plotly.graph_objects as go

    figure = go.Figure()
    lengths = lengths_of(result.vectors[0])
    for each in result.vectors:
        codes = [code_of(each, length, AS_IT_IS) for length in lengths]
        shares = [code["spurious"] / code["active"] if code["active"] else None for code in codes]
        figure.add_scatter(x=lengths, y=shares, name=each["cell"]["task"])
    figure.update_xaxes(type="category")
    title = "Share of a vector's code in features that hardly fire in its texts"
    return _titled(figure, title, "length, in mean norms", "share")


def _remedies(result: "Result") -> Any:
    """Draw what each remedy explains of each vector."""
    import plotly.graph_objects as go

    names = [each["cell"]["task"] for each in result.vectors]
    figure = go.Figure()
    figure.add_bar(x=names, y=result.table["sae"], name="SAE's code, best length")
    for way in (AROUND, BETWEEN, PURSUIT, POSITIVE, BY_CHANCE):
        figure.add_bar(x=names, y=[each["remedies"][way]["explained"] for each in result.vectors], name=way)
    if "ssae" in result.table:
        figure.add_bar(x=names, y=result.table["ssae"], name="SSAE")
    figure.update_yaxes(range=[-0.2, 1])
    return _titled(figure, "Explained of each vector", "", "explained")


def _ssae(result: "Result") -> Any:
    """Draw the SSAE's codes of the vectors whose behaviours the first set of pairs varies."""
    import plotly.graph_objects as go

    read = [each for each in result.vectors if "ssae" in each]
    same = [each for each in read if each["cell"]["pool"] == read[0]["cell"]["pool"]]
    codes = [[value / max(map(abs, each["ssae"]["codes"])) for value in each["ssae"]["codes"]] for each in same]
    figure = go.Figure(go.Heatmap(z=codes, y=[each["cell"]["task"] for each in same], zmid=0, colorscale="RdBu"))
    own = [(each["ssae"]["latent"], each["cell"]["task"]) for each in same if each["ssae"]["latent"] is not None]
    figure.add_scatter(
        x=[latent for latent, _ in own],
        y=[name for _, name in own],
        mode="markers",
        marker={"symbol": "square-open", "size": 14, "color": "black"},
        name="the behaviour's latent",
    )
    title = f"The SSAE's codes of vectors, as shares of the largest ({same[0]['cell']['pool']})"
    return _titled(figure, title, "latent", "")


DRAWN: dict[str, Callable[["Result"], Any]] = {
    "norms": _norms,
    "zero vector": _zero,
    "scaling": _scaling,
    "negative projections": _negative,
    "spurious features": _spurious,
    "remedies": _remedies,
}


def _titled(figure: Any, title: str, x: str, y: str) -> Any:
    figure.update_xaxes(title=x)
    if y:
        figure.update_yaxes(title=y)
    return figure.update_layout(title=title, height=460, template="plotly_white")
