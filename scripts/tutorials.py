"""Run the tutorials, and write them with their outputs as pages of the documentation.

    python scripts/tutorials.py            # those that changed since their page was written
    python scripts/tutorials.py --all      # all of them
    python scripts/tutorials.py --sync     # write each tutorial's .ipynb, without outputs, from its .py

A tutorial is a pair of files in `tutorials/`: a script (`.py`, in jupytext's percent format), which is the source, and a
notebook (`.ipynb`) of the same cells. It runs in an empty temporary folder, in a kernel of this Python.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
TUTORIALS = ROOT / "tutorials"
PAGES = ROOT / "docs" / "tutorials"
PLOTLY = "application/vnd.plotly.v1+json"
# The metadata of notebooks; nothing depends on the machine.
METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
}


def sources() -> list[Path]:
    """Return the scripts of the tutorials, in order."""
    return sorted(TUTORIALS.glob("[0-9]_*.py"))


def notebook_of(source: Path) -> nbformat.NotebookNode:
    """Return the notebook of a script, without outputs."""
    notebook = jupytext.read(source)
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        # Random ids would change every notebook each time.
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.NotebookNode()
    return notebook


def executed(notebook: nbformat.NotebookNode, *, seconds: int = 600) -> nbformat.NotebookNode:
    """Run a notebook in an empty folder, in a kernel of this Python; an error in a cell is raised."""
    # The path is short because the sockets of the kernel are files in it, whose paths are limited to about 100 characters.
    with tempfile.TemporaryDirectory(prefix="nb-") as folder:
        kernels, work = Path(folder) / "kernels", Path(folder) / "work"
        (kernels / "python3").mkdir(parents=True)
        work.mkdir()
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3",
            "language": "python",
            "env": {
                "IPYTHONDIR": folder,
                "PYTHONWARNINGS": "ignore:IProgress not found",
                "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            },
        }
        (kernels / "python3" / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False),
            connection_file=f"{folder}/kernel.json",
            transport="ipc",
        )
        resources = {"metadata": {"path": str(work)}}
        client = NotebookClient(notebook, km=manager, timeout=seconds, resources=resources)
        # Otherwise the client leaves the kernel running, with a model in memory.
        client.owns_km = True
        return client.execute()


def page(notebook: nbformat.NotebookNode) -> str:
    """Return an executed notebook as Markdown, with plotly figures."""
    parts = ['<script src="../plotly.min.js"></script>']
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"\((\d_\w+)\.ipynb\)", r"(\1.md)", cell.source))
            continue
        parts.append(_fenced("python", cell.source))
        parts += [text for output in cell.outputs if (text := _shown(output))]
    return "\n\n".join(parts) + "\n"


def _shown(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return _fenced("text", output.text.rstrip()) if output.name == "stdout" else ""
    data = output.get("data", {})
    if PLOTLY in data:
        import plotly.io

        figure = plotly.io.from_json(json.dumps(data[PLOTLY]), skip_invalid=True)
        return plotly.io.to_html(figure, full_html=False, include_plotlyjs=False)
    if "text/html" in data:
        return re.sub(r"<style scoped>.*?</style>\s*", "", data["text/html"], flags=re.DOTALL)
    if "text/markdown" in data:
        return "\n".join(f"> {line}" for line in data["text/markdown"].splitlines())
    return _fenced("text", data.get("text/plain", ""))


def _fenced(language: str, text: str) -> str:
    return f"````{language}\n{text}\n````"


def write_page(source: Path) -> Path:
    """Run a tutorial and write its page."""
    import plotly

    text = page(executed(notebook_of(source)))
    PAGES.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", PAGES)
    target = PAGES / f"{source.stem}.md"
    target.write_text(text, encoding="utf-8")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="run all, also those that have not changed")
    parser.add_argument("--sync", action="store_true", help="only write the notebooks from their scripts")
    args = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for source in sources():
        target = source.with_suffix(".ipynb") if args.sync else PAGES / f"{source.stem}.md"
        if args.sync:
            nbformat.write(notebook_of(source), target)
        elif not args.all and target.is_file() and target.stat().st_mtime > source.stat().st_mtime:
            continue
        else:
            print(f"{source.relative_to(ROOT)} …", flush=True)
            write_page(source)
        print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
