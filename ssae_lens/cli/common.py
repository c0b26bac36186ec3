"""What every command shares: failures of one line, settings from a file, and the run kept beside its result.

The exit status is 0 for success, 2 for input that cannot be used (one line says what to do), and 130 for an interruption.
"""

import errno
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ssae_lens.base import checks, files
from ssae_lens.base.reading import read_yaml
from ssae_lens.base.versions import versions
from ssae_lens.cli.messages import in_options, options_of

# What says how a command reports, and nothing of what it does.
REPORTING = ("config", "json_out", "quiet", "overwrite")
# Where a context notes that its command takes further settings from a file.
TAKES_SETTINGS = "ssae_lens.takes_settings"


class OneLine(TyperGroup):
    """Commands whose failures are one line: what a user can change, in words, with exit status 2."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run a command; as a program, print what went wrong and leave with a status."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        try:
            status = super().main(*args, standalone_mode=False, **extra)
        except KeyboardInterrupt:
            status = 130
        except (ValueError, OSError) as error:
            status = _failed(_text_of(error))
        except Exception as error:
            if _was_interrupted(error):
                status = 130
            # What the parser of options says: a class that differs between versions of typer.
            elif hasattr(error, "format_message"):
                status = _failed(error.format_message() or "Name a command; --help lists them.")  # pyright: ignore[reportAttributeAccessIssue]
            else:
                raise
        if status == 130:
            print(
                "ssae-lens: interrupted. Run the same command again: capture, train, sweep and eval --out resume.",
                file=sys.stderr,
            )
        sys.exit(status if isinstance(status, int) else 0)


class Command(TyperCommand):
    """A command whose errors and warnings name its options, where those of Python functions name arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse and check options."""
        with self._in_its_words(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with self._in_its_words(ctx):
            return super().invoke(ctx)

    @contextmanager
    def _in_its_words(self, ctx: Any) -> Iterator[None]:
        def translated(message: object) -> str:
            takes = bool(ctx.meta.get(TAKES_SETTINGS))
            return in_options(str(message), options_of(self.params), ctx.command_path, settings=takes)

        def warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
            if issubclass(category, UserWarning):
                print(f"note: {translated(message)}", file=sys.stderr)

        shown, warnings.showwarning = warnings.showwarning, warn
        try:
            yield
        except EOFError as error:
            # typer takes this for the end of a terminal's input.
            raise ValueError(f"A file ends before it should: {error}") from error
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            raise ValueError(translated(_text_of(error))) from error
        finally:
            warnings.showwarning = shown


def group(about: str, name: str | None = None) -> typer.Typer:
    """Make a group of commands."""
    return typer.Typer(
        name=name, cls=OneLine, help=about, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def _failed(message: str) -> int:
    print(f"ssae-lens: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _text_of(error: Exception) -> str:
    """Return what an error says, without the number of a system's error."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether an error came of an interruption: libraries turn one that reaches them while they are imported into others."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _configure(context: typer.Context, path: Path | None) -> Path | None:
    """Take a file's settings as defaults; what the command has no option for is kept for it in `context.obj`."""
    if path is None:
        return None
    read: Any = read_yaml(path) or {}
    if type(read) is not dict:
        raise ValueError(f"{path} holds a {type(read).__name__}; it must hold settings, such as 'd_sae: 16'.")
    read = {str(name).replace("-", "_"): value for name, value in read.items()}
    if (command := read.pop("command", context.info_name)) != context.info_name:
        raise ValueError(f"{path} is of the command {str(command)[:80]!r}, not {context.info_name!r}.")
    options = {str(each.name) for each in context.command.params} - {"config"}
    context.default_map = {**(context.default_map or {}), **{name: read[name] for name in options & read.keys()}}
    context.obj = {name: value for name, value in read.items() if name not in options}
    return path


def writable(path: Path | None) -> Path | None:
    """Refuse a path that cannot be written, before the work whose result goes there."""
    if path is not None:
        checks.writable(path)
    return path


def usable(device: str | None) -> str | None:
    """Refuse a device that this machine does not have."""
    if device is not None:
        checks.device(device)
    return device


Config = Annotated[
    Path | None,
    typer.Option("--config", is_eager=True, callback=_configure, help="A YAML file of settings; options win over it."),
]
Json = Annotated[Path | None, typer.Option("--json", callback=writable, help="Save results and settings as JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Device = Annotated[str | None, typer.Option(callback=usable, help="cpu, cuda, …")]
Kind = Annotated[
    str, typer.Option(help="hooked, bridge, or auto: hooked where TransformerLens can make a HookedTransformer.")
]
Model = Annotated[str, typer.Argument(help="smollm2-135m, a TransformerLens name, or a folder.")]
Shifts = Annotated[Path, typer.Argument(help="A store of shifts.")]


def replaceable(overwrite: bool, *paths: Path | None) -> None:
    """Raise if a file, or a folder that holds something, stands where a result goes and is not to be replaced."""
    for path in paths:
        if path is not None and not overwrite and path.exists() and (path.is_file() or any(path.iterdir())):
            raise FileExistsError(f"{path} exists; give --overwrite to replace it, or another path.")


def further_settings(context: typer.Context, takes: bool = False) -> dict[str, Any]:
    """Return the file's settings that are no options; a command that takes none refuses them."""
    context.meta[TAKES_SETTINGS] = takes
    further = dict(context.obj or {})
    if further and not takes:
        options = [str(each.name) for each in context.command.params]
        name = next(iter(further))[:80]
        raise ValueError(
            f"{context.info_name} has no setting {name!r}.{checks.did_you_mean(name, options)} It has {', '.join(options)}."
        )
    return further


def settings_of(context: typer.Context) -> dict[str, Any]:
    """Return what a command was called with, as a configuration file holds it."""
    given = {name: value for name, value in context.params.items() if name not in REPORTING and value is not None}
    return {
        "command": context.info_name,
        **{name: _plain(value) for name, value in given.items()},
        **(context.obj or {}),
    }


def keep_run(context: typer.Context, where: Path) -> None:
    """Write the settings beside a result: ``run.yaml`` in its folder, or ``<file>.run.yaml``."""
    import yaml

    path = where / "run.yaml" if where.is_dir() else where.with_name(where.name + ".run.yaml")
    about = ", ".join(f"{name} {version}" for name, version in versions().items())
    text = yaml.safe_dump(settings_of(context), sort_keys=False, allow_unicode=True)
    with files.writing(path) as temporary:
        temporary.write_text(
            f"# {context.command_path} --config {path.name} does this again.\n# Made with {about}.\n{text}",
            encoding="utf-8",
        )


def write_numbers(context: typer.Context, path: Path | None, numbers: Mapping[str, Any]) -> None:
    """Write a result as JSON with what made it, if a path is given."""
    if path is not None:
        files.write_json(path, {"about": {**settings_of(context), "versions": versions()}, **numbers})


def print_nested(values: Mapping[str, Any], indent: str = "") -> None:
    """Print names and values, a dictionary's own further in."""
    for name, value in values.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            print_nested(value, indent + "  ")
        elif isinstance(value, list) and len(value) > 12:
            shown = ", ".join(f"{each:.3g}" if isinstance(each, float) else str(each) for each in value[:8])
            print(f"{indent}{name}: {shown}, … ({len(value)})")
        else:
            print(f"{indent}{name}: {value:.4g}" if isinstance(value, float) else f"{indent}{name}: {value}")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
