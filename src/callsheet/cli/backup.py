"""`callsheet backup` and `callsheet restore`: the embedded database with its files."""

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import DataDir, Json

if TYPE_CHECKING:
    from callsheet.backup.manifest import Manifest


def backup(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="New folder, or new file whose name ends with .tar")],
    no_files: Annotated[bool, typer.Option("--no-files", help="Only the database and the signing key")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Back up the embedded database, its files and the signing key, while Callsheet runs or not.

    The backup has its name once it is complete and its dump was read again. A bucket is not part of it.
    """
    from callsheet.backup.create import create_backup
    from callsheet.cli.bootstrap import configure_command_logging, load_settings
    from callsheet.cli.transfer_bar import transfer_bar

    settings = load_settings(data_dir=data_dir)
    configure_command_logging(settings, verbose=context.obj, level="warning")
    manifest = _run(create_backup(settings, target.absolute(), with_files=not no_files, show=transfer_bar))
    _report(manifest, f"Backed up to {target}", as_json=as_json)


def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder or .tar file made by `callsheet backup`")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Move the database, files and key that are there aside")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read the whole backup and verify it")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Restore a backup into a data folder, and upgrade it to this version.

    Stop all Callsheet processes of the data folder before. Jobs that were running start again with the next worker.
    """
    from callsheet.backup.restore import restore_backup, verify_backup
    from callsheet.cli.bootstrap import configure_command_logging, load_settings
    from callsheet.cli.transfer_bar import transfer_bar

    settings = load_settings(data_dir=data_dir)
    configure_command_logging(settings, verbose=context.obj, level="warning")
    if check:
        manifest = _run(verify_backup(source, show=transfer_bar))
        _report(manifest, f"{source} is complete and undamaged", as_json=as_json)
        return
    manifest = _run(restore_backup(settings, source, replace=replace, show=transfer_bar))
    _report(manifest, f"Restored into {settings.data_dir}", as_json=as_json)


def _run(work: "Coroutine[Any, Any, Manifest]") -> "Manifest":
    from callsheet.cli.loop import cancel_on_terminate, run_async

    async def cancellable() -> "Manifest":
        cancel_on_terminate()
        return await work

    return run_async(cancellable())


def _report(manifest: "Manifest", done: str, *, as_json: bool) -> None:
    from callsheet.cli.printing import say, show_json, size_text

    for problem in manifest.problems:
        say(f"Warning: {problem}")
    if as_json:
        show_json(manifest.model_dump(mode="json", by_alias=True))
        return
    files = manifest.files
    say(f"{done}: {sum(manifest.rows.values()):,} rows, {size_text(manifest.database.size)} of database")
    if files.included:
        say(f"  {files.count:,} files, {size_text(files.bytes)}")
    else:
        say(f"  without files: they are in the {files.location}, which must be backed up after the database")
    if manifest.signing_key is None:
        say("  without a signing key: keep the setting CALLSHEET_SIGNING_KEY, if it is set")
