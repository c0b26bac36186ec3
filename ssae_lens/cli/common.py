"""What the commands share: options, one-line errors, settings from a file, and the run saved beside a result.

Exit status: 0 for success, 2 for unusable input (one line says what to do), 130 for an interruption.
"""

import errno
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ssae_lens.base import checks, checksums, files
from ssae_lens.base.provenance import versions
from ssae_lens.base.yaml_files import read_yaml
from ssae_lens.cli.messages import in_options, options_of

if TYPE_CHECKING:
    from ssae_lens.sae import SSAE
    from ssae_lens.steering_vector import SteeringVector

# Options that change the report of a command and not its result.
REPORTING = ("config", "json_out", "quiet", "overwrite")
# Key of a context's `meta`: whether its command takes further settings from a file.
TAKES_SETTINGS = "ssae_lens.takes_settings"


class OneLineGroup(TyperGroup):
    """Commands that report a failure in one line and end with a status."""

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run a command; in standalone mode, print a failure and exit with its status."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)
        try:
            status = super().main(*args, standalone_mode=False, **kwargs)
        except KeyboardInterrupt:
            status = 130
        except (ValueError, OSError) as error:
            status = _failed(_text_of(error))
        except Exception as error:
            if _was_interrupted(error):
                status = 130
            # An error of the option parser, whose class differs between versions of typer.
            elif hasattr(error, "format_message"):
                status = _failed(error.format_message() or "Name a command; --help lists them.")  # pyright: ignore[reportAttributeAccessIssue]
            else:
                raise
        if status == 130:
            print(
                "ssae-lens: interrupted. Re-run the same command: capture, train, sweep and eval --out resume.",
                file=sys.stderr,
            )
        sys.exit(status if isinstance(status, int) else 0)


class Command(TyperCommand):
    """A command whose errors and warnings name its options where Python functions name arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse and check options."""
        with self._translated(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with self._translated(ctx):
            return super().invoke(ctx)

    @contextmanager
    def _translated(self, ctx: Any) -> Iterator[None]:
        def translate(message: object) -> str:
            settings = bool(ctx.meta.get(TAKES_SETTINGS))
            return in_options(str(message), options_of(self.params), ctx.command_path, settings=settings)

        def warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
            if issubclass(category, UserWarning):
                print(f"note: {translate(message)}", file=sys.stderr)

        original, warnings.showwarning = warnings.showwarning, warn
        try:
            yield
        except EOFError as error:
            # typer takes an EOFError for the end of a terminal's input.
            raise ValueError(f"Unexpected end of file: {error}") from error
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            raise ValueError(translate(_text_of(error))) from error
        finally:
            warnings.showwarning = original


def group(about: str, name: str | None = None) -> typer.Typer:
    """Return a group of commands."""
    return typer.Typer(
        name=name, cls=OneLineGroup, help=about, no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )  # fmt: skip


def _failed(message: str) -> int:
    print(f"ssae-lens: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _text_of(error: Exception) -> str:
    """Return the text of an error, without the number of a system error."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def _was_interrupted(error: BaseException | None) -> bool:
    """Return whether an interruption caused an error: some libraries convert one that reaches them during import."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _configure(context: typer.Context, path: Path | None) -> Path | None:
    """Use the settings of a file as defaults; those without an option go to `context.obj`."""
    if path is None:
        return None
    settings: Any = read_yaml(path) or {}
    if type(settings) is not dict:
        raise ValueError(f"{path} holds a {type(settings).__name__}; it must hold settings, such as 'd_sae: 16'.")
    settings = {str(name).replace("-", "_"): value for name, value in settings.items()}
    if (command := settings.pop("command", context.info_name)) != context.info_name:
        raise ValueError(f"{path} has settings of the command {str(command)[:80]!r}, not {context.info_name!r}.")
    options = {str(parameter.name) for parameter in context.command.params} - {"config"}
    defaults = {name: settings[name] for name in options & settings.keys()}
    context.default_map = {**(context.default_map or {}), **defaults}
    context.obj = {name: value for name, value in settings.items() if name not in options}
    return path


def writable(path: Path | None) -> Path | None:
    """Raise before any work if the path of a result cannot be written."""
    if path is not None:
        checks.writable(path)
    return path


def usable(device: str | None) -> str | None:
    """Raise before any work if this machine does not have a device."""
    if device is not None:
        checks.device(device)
    return device


Config = Annotated[
    Path | None,
    typer.Option("--config", is_eager=True, callback=_configure, help="YAML file of settings; options override it."),
]
Json = Annotated[Path | None, typer.Option("--json", callback=writable, help="Save results and settings as JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Device = Annotated[str | None, typer.Option(callback=usable, help="Device, such as cpu or cuda.")]
Kind = Annotated[
    str, typer.Option(help="hooked, bridge, or auto: hooked where TransformerLens supports a HookedTransformer.")
]
Model = Annotated[str, typer.Argument(help="smollm2-135m, a TransformerLens name, or a folder.")]
Shifts = Annotated[Path, typer.Argument(help="File of captured shifts.")]
Folder = Annotated[str, typer.Argument(help="Folder of an SSAE, as train or sweep wrote it, or a release that ships.")]


def load_vector(path: Path) -> "SteeringVector":
    """Load a steering vector from a safetensors or a GGUF file."""
    from ssae_lens.steering_vector import SteeringVector

    return SteeringVector.from_gguf(path) if path.suffix == ".gguf" else SteeringVector.load(path)


def load_vectors(paths: list[Path]) -> dict[str, "SteeringVector"]:
    """Load the steering vectors of files: one by the file's name, or those of a `VectorSet` by their own."""
    from ssae_lens.base import tensor_files
    from ssae_lens.vector_set import FORMAT, VectorSet

    vectors: dict[str, SteeringVector] = {}
    for path in paths:
        is_set = path.suffix == ".safetensors" and tensor_files.kind_of(path) == FORMAT
        vectors |= dict(VectorSet.load(path)) if is_set else {path.stem: load_vector(path)}
    return vectors


def load_ssae(folder: str) -> "SSAE":
    """Load an SSAE from its folder, or one that ships with the package, as release or release/hook."""
    from ssae_lens.base import assets
    from ssae_lens.sae import SSAE

    release, _, sae_id = folder.partition("/")
    if release in assets.shipped() and not Path(folder).exists():
        ids = assets.shipped()[release]
        return SSAE.from_pretrained(release, sae_id or ids[0])
    return SSAE.load_from_disk(folder)


def replaceable(overwrite: bool, *paths: Path | None) -> None:
    """Raise if a file or a folder with contents exists at the path of a result and may not be replaced."""
    for path in paths:
        if path is not None and not overwrite and path.exists() and (path.is_file() or any(path.iterdir())):
            raise FileExistsError(f"{path} exists; give --overwrite to replace it, or another path.")


def further_settings(context: typer.Context, takes: bool = False) -> dict[str, Any]:
    """Return the settings of the file that are no options, or raise if the command takes none."""
    context.meta[TAKES_SETTINGS] = takes
    further = dict(context.obj or {})
    if further and not takes:
        options = [str(parameter.name) for parameter in context.command.params]
        name = next(iter(further))[:80]
        raise ValueError(
            f"{context.info_name} has no setting {name!r}.{checks.did_you_mean(name, options)} It has {', '.join(options)}."
        )
    return further


def settings_of(context: typer.Context) -> dict[str, Any]:
    """Return the settings of a call, as a configuration file holds them."""
    options = {name: value for name, value in context.params.items() if name not in REPORTING and value is not None}
    return {
        "command": context.info_name,
        **{name: _plain(value) for name, value in options.items()},
        **(context.obj or {}),
    }


def keep_run(context: typer.Context, result: Path) -> None:
    """Save the settings beside a result: ``run.yaml`` in its folder, or ``<file>.run.yaml``."""
    import yaml

    path = result / "run.yaml" if result.is_dir() else result.with_name(result.name + ".run.yaml")
    installed = ", ".join(f"{name} {version}" for name, version in versions().items())
    text = yaml.safe_dump(settings_of(context), sort_keys=False, allow_unicode=True)
    with files.writing(path) as temporary:
        temporary.write_text(
            f"# To repeat: {context.command_path} --config {path.name}\n# Versions: {installed}.\n{text}",
            encoding="utf-8",
        )


def write_numbers(context: typer.Context, path: Path | None, numbers: Mapping[str, Any]) -> None:
    """Save results and settings as JSON, if there is a path."""
    if path is not None:
        checksums.write_json(path, {"about": {**settings_of(context), "versions": versions()}, **numbers})


def print_nested(values: Mapping[str, Any], indent: str = "") -> None:
    """Print names and values, nested dictionaries indented."""
    for name, value in values.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            print_nested(value, indent + "  ")
        elif isinstance(value, list) and len(value) > 12:
            shown = ", ".join(f"{item:.3g}" if isinstance(item, float) else str(item) for item in value[:8])
            print(f"{indent}{name}: {shown}, … ({len(value)})")
        else:
            print(f"{indent}{name}: {value:.4g}" if isinstance(value, float) else f"{indent}{name}: {value}")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
