"""The studies as one plotly figure."""

from typing import Any

PANELS = {
    "methods": "Methods: MCC of codes",
    "widths": "Widths",
    "lines": "Where, and from how much",
    "bending": "One direction",
}


def figure(table: Any) -> Any:
    """Draw methods by corpus, widths, the other lines of one corpus, and what one direction explains of each concept."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    drawn = make_subplots(rows=2, cols=2, subplot_titles=list(PANELS.values()), vertical_spacing=0.14)
    methods = table[table["study"] == "methods"]
    for method, rows in methods.groupby("method", sort=False):
        drawn.add_trace(_dots(rows["mcc"], rows["corpus"], str(method)), row=1, col=1)
    if len(methods):
        for name, column, symbol in (
            ("ridge, told the labels", "ceiling", "line-ns-open"),
            ("labels shuffled", "mcc_shuffled", "x-thin-open"),
        ):
            rows = methods.groupby("corpus", sort=False)[column].mean()
            drawn.add_trace(_dots(rows, rows.index, name, symbol=symbol), row=1, col=1)
    for corpus, rows in table[table["study"] == "widths"].groupby("corpus", sort=False):
        size = [14 if chosen is True else 6 for chosen in rows["chosen"]]
        trace = go.Scatter(x=rows["latents"], y=rows["mcc"], marker={"size": size}, name=f"{corpus}, by width")
        drawn.add_trace(trace, row=1, col=2)
    for study in ("layers", "positions", "levels", "pairs"):
        rows = table[table["study"] == study]
        if len(rows):
            drawn.add_trace(go.Scatter(x=rows["line"], y=rows["mcc"], name=study), row=2, col=1)
    for corpus, rows in table[table["study"] == "bending"].groupby("corpus", sort=False) if "mean" in table else ():
        drawn.add_trace(go.Bar(x=rows["line"], y=rows["mean"], name=f"{corpus}, one direction"), row=2, col=2)
    for row, col in ((1, 2), (2, 1), (2, 2)):
        drawn.update_yaxes(range=[0, 1.02], row=row, col=col)
    drawn.update_xaxes(range=[0, 1.02], row=1, col=1)
    drawn.update_yaxes(autorange="reversed", row=1, col=1)
    drawn.update_xaxes(title="latents; the large mark is chosen without labels", row=1, col=2)
    return drawn.update_layout(title="Concepts found in a language model", height=1000, template="plotly_white")


def _dots(x: Any, y: Any, name: str, *, symbol: str = "circle") -> Any:
    import plotly.graph_objects as go

    return go.Scatter(x=x, y=y, mode="markers", marker={"symbol": symbol, "size": 10}, name=name)
