"""`callsheet comfyui models`: download models into the model folder of the managed ComfyUI server."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import Json

if TYPE_CHECKING:
    from callsheet.comfyui.model_files import PulledModel
    from callsheet.comfyui.model_list import ModelSource

group = typer.Typer(help="Download models for the managed ComfyUI server.", no_args_is_help=True)

What = Annotated[str, typer.Argument(metavar="NAME|URL", help="Name of a model of the list, or the URL of a file")]
Folder = Annotated[str, typer.Option("--folder", help="Folder of ComfyUI for a URL")]
Name = Annotated[str | None, typer.Option("--name", help="File name for a URL; default: the last part of the URL")]
Digest = Annotated[str | None, typer.Option("--sha256", metavar="HEX", help="Expected SHA-256 of the file at a URL")]
Pickle = Annotated[bool, typer.Option("--allow-pickle", help="Accept files that can run code when they are loaded")]


@group.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models that can be pulled by name, and which of them are here."""
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.printing import say, show_columns, show_json, size_text
    from callsheet.comfyui.model_files import models_folder
    from callsheet.comfyui.model_list import listed_models

    root = models_folder(load_settings())
    models = listed_models().values()
    rows: list[dict[str, Any]] = [
        {**model.model_dump(by_alias=True), "here": (root / model.folder / model.file).is_file()} for model in models
    ]
    if as_json:
        show_json({"folder": str(root), "models": rows})
        return
    show_columns(
        ("NAME", "SIZE", "HERE", "FOLDER", "LICENCE", "MODEL"),
        [(row["name"], size_text(row["bytes"]), "yes" if row["here"] else "", *_texts(row)) for row in rows],
    )
    say(f"They are pulled into {root}")


def _texts(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["folder"], row["licence"], row["title"]


@group.command()
def pull(
    what: What,
    folder: Folder = "checkpoints",
    name: Name = None,
    sha256: Digest = None,
    allow_pickle: Pickle = False,
    as_json: Json = False,
) -> None:
    """Download a model, or continue its download. A model that is here already is verified.

    The licence of a model is your business: the list names it, and the page of the model has its text.
    """
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say, show_json
    from callsheet.comfyui.model_list import listed_model, model_at

    if "://" in what:
        source = model_at(what, folder, file=name, sha256=sha256, allow_pickle=allow_pickle)
    elif name or sha256 or folder != "checkpoints" or allow_pickle:
        raise typer.BadParameter("--folder, --name, --sha256 and --allow-pickle are for URLs")
    else:
        source = listed_model(what)
    settings = load_settings()
    say(f"{source.file}, licence: {source.licence}")
    pulled = run_async(_pull(source, settings))
    if as_json:
        show_json(_record(pulled))
        return
    for path in pulled.removed:
        say(f"Removed to make room: {path}")
    verified = "verified" if pulled.is_verified else "not verified: no SHA-256 to compare is known"
    say(f"{pulled.path} {'is complete' if pulled.is_new else 'was here already'}, {verified}. SHA-256 {pulled.sha256}")


async def _pull(source: "ModelSource", settings: Any) -> "PulledModel":
    from callsheet.cli.transfer_bar import transfer_bar
    from callsheet.comfyui.model_files import pull_model

    with transfer_bar(source.file, source.bytes) as on_progress:
        return await pull_model(source, settings, on_progress)


def _record(pulled: "PulledModel") -> dict[str, Any]:
    return {
        "path": str(pulled.path),
        "bytes": pulled.bytes,
        "sha256": pulled.sha256,
        "verified": pulled.is_verified,
        "new": pulled.is_new,
        "removed": [str(path) for path in pulled.removed],
    }
