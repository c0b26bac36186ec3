"""A figure for each finding of the study."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ssae_lens.evals._decomposition import NO_THRESHOLD, POSITIVE, PURSUIT, RANDOM_ROWS, WITH_THRESHOLD
from studies.decomposition.measure import AROUND, BETWEEN, OWN
from studies.decomposition.verdicts import code_of, lengths_of

if TYPE_CHECKING:
    from studies.decomposition.result import DecompositionStudyResult

BLUE, ORANGE, GREY = "#2f7fc4", "#cf5f10", "#7b8490"


def figures(result: "DecompositionStudyResult") -> dict[str, Any]:
    """Return a figure for each finding."""
    vectors = result.vectors
    names, lengths = [vector["cell"]["task"] for vector in vectors], lengths_of(vectors[0])
    plain = {
        name: [code_of(vector, k, WITH_THRESHOLD) for k in lengths] for name, vector in zip(names, vectors, strict=True)
    }
    drawn = {
        "norms": _norms(result.activations, vectors, names),
        "zero vector": _zero(result.activations, vectors, names),
        "scaling": _scaling(result.activations, plain, lengths),
        "negative projections": _negative(vectors, plain, names),
        "spurious features": _spurious(plain, lengths),
        "remedies": _remedies(result, names),
    }
    return {**drawn, **({"SSAE": _ssae(vectors)} if any("ssae" in vector for vector in vectors) else {})}


def _norms(activations: dict[str, Any], vectors: list[dict[str, Any]], names: list[str]) -> Any:
    figure = _figure("Norms of steering vectors among those of activations", "norm", "tokens")
    middles = [(a + b) / 2 for a, b in pairwise(activations["histogram"]["edges"])]
    figure.add_bar(x=middles, y=activations["histogram"]["counts"], name="activations", marker_color=BLUE)
    norms = [vector["norm"] for vector in vectors]
    for norm in norms:
        figure.add_vline(x=norm, line={"color": ORANGE, "width": 1})
    zeros = [0] * len(norms)
    return figure.add_scatter(x=norms, y=zeros, text=names, mode="markers", name="vectors", marker_color=ORANGE)


def _zero(activations: dict[str, Any], vectors: list[dict[str, Any]], names: list[str]) -> Any:
    zero = activations["zero"][NO_THRESHOLD]["features"]
    features = [str(row["feature"]) for row in zero]
    title = "Strongest features of the zero vector, and of vectors at their own length, with no threshold"
    used = activations["zero"][WITH_THRESHOLD]["used"]
    figure = _figure(title, f"feature (the SAE with its threshold: {used} features of the zero vector)", "code")
    figure.add_bar(x=features, y=[row["value"] for row in zero], name="zero vector", marker_color=ORANGE)
    for vector, name in zip(vectors, names, strict=True):
        code = {str(row["feature"]): row["value"] for row in code_of(vector, OWN, NO_THRESHOLD)["features"]}
        figure.add_scatter(x=features, y=[code.get(feature) for feature in features], mode="markers", name=name)
    return figure.update_xaxes(type="category")


def _scaling(activations: dict[str, Any], plain: dict[str, list[dict[str, Any]]], lengths: list[str]) -> Any:
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, subplot_titles=("explained", "active features"))
    for column, key in enumerate(("explained", "active"), start=1):
        for name, codes in plain.items():
            y = [code[key] for code in codes]
            figure.add_scatter(x=lengths, y=y, name=name, legendgroup=name, row=1, col=column, showlegend=column == 1)
        figure.add_hline(y=activations[key], line={"dash": "dot"}, row=1, col=column)  # pyright: ignore[reportArgumentType]
    title = "Vectors scaled up, read by the SAE (dotted: activations)"
    return _titled(figure, title, "length, in mean norms", "").update_xaxes(type="category")


def _negative(vectors: list[dict[str, Any]], plain: dict[str, list[dict[str, Any]]], names: list[str]) -> Any:
    figure = _figure("Features that change most between texts with and without a behaviour", "", "features")
    for title, sign, colour in (("rise", 1, BLUE), ("fall", -1, ORANGE)):
        counts = [sum(row["change"] * sign > 0 for row in vector["changed"]) for vector in vectors]
        figure.add_bar(x=names, y=counts, name=title, marker_color=colour)
    kept = [max(code["negative"] - code["lost"] for code in codes) for codes in plain.values()]
    return figure.add_scatter(x=names, y=kept, mode="markers", name="falling ones in any code", marker_color=GREY)


def _spurious(plain: dict[str, list[dict[str, Any]]], lengths: list[str]) -> Any:
    figure = _figure(
        "Share of a vector's code in features that hardly fire in its texts", "length, in mean norms", "share"
    )
    for name, codes in plain.items():
        shares = [code["spurious"] / code["active"] if code["active"] else None for code in codes]
        figure.add_scatter(x=lengths, y=shares, name=name)
    return figure.update_xaxes(type="category")


def _remedies(result: "DecompositionStudyResult", names: list[str]) -> Any:
    figure = _figure("Explained of each vector", "", "explained")
    figure.add_bar(x=names, y=result.table["sae"], name="SAE's code, best length")
    for remedy in (AROUND, BETWEEN, PURSUIT, POSITIVE, RANDOM_ROWS):
        figure.add_bar(x=names, y=[vector["remedies"][remedy]["explained"] for vector in result.vectors], name=remedy)
    if "ssae" in result.table:
        figure.add_bar(x=names, y=result.table["ssae"], name="SSAE")
    return figure.update_yaxes(range=[-0.2, 1])


def _ssae(vectors: list[dict[str, Any]]) -> Any:
    """Draw the SSAE's codes of the vectors whose behaviours vary in the first set of pairs."""
    encoded = [vector for vector in vectors if "ssae" in vector]
    same = [vector for vector in encoded if vector["cell"]["pool"] == encoded[0]["cell"]["pool"]]
    names = [vector["cell"]["task"] for vector in same]
    codes = [[value / max(map(abs, vector["ssae"]["codes"])) for value in vector["ssae"]["codes"]] for vector in same]
    figure = _figure(f"The SSAE's codes, as shares of the largest ({same[0]['cell']['pool']})", "latent", "")
    figure.add_heatmap(z=codes, y=names, zmid=0, colorscale="RdBu")
    own = [(vector["ssae"]["latent"], vector["cell"]["task"]) for vector in same]
    own = [(latent, name) for latent, name in own if latent is not None]
    marker = {"symbol": "square-open", "size": 14, "color": "black"}
    x, y = [latent for latent, _ in own], [name for _, name in own]
    return figure.add_scatter(x=x, y=y, mode="markers", marker=marker, name="the behaviour's latent")


def _figure(title: str, x: str, y: str) -> Any:
    import plotly.graph_objects as go

    return _titled(go.Figure(), title, x, y)


def _titled(figure: Any, title: str, x: str, y: str) -> Any:
    figure.update_xaxes(title=x)
    if y:
        figure.update_yaxes(title=y)
    return figure.update_layout(title=title, height=460, template="plotly_white")
