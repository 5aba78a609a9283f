"""`callsheet models`: the models that `generate` can use."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import Json

if TYPE_CHECKING:
    from callsheet.providers.listing import ModelRecord, ParameterRecord

group = typer.Typer(help="Show the models that `generate` can use.", invoke_without_command=True)

_NOT_READY = "not configured"


@group.callback()
def models(context: typer.Context, as_json: Json = False) -> None:
    """Show the models that `generate` can use."""
    if context.invoked_subcommand is None:
        list_models(as_json=as_json)


@group.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models: what they make, what they cost, and which of their providers are configured here."""
    from callsheet.cli.printing import show_columns, show_json

    records = _records()
    if as_json:
        show_json([record.model_dump(mode="json", by_alias=True) for record in records])
        return
    rows = [
        (r.id, r.makes, _providers(r, ready=True), _providers(r, ready=False), _prices(r), r.summary or r.name)
        for r in records
    ]
    show_columns(("MODEL", "MAKES", "READY", "NOT SET UP", "PRICE", "WHAT IT IS"), rows)


@group.command("show")
def show_model(
    model_id: Annotated[str, typer.Argument(metavar="MODEL", help="Id of the model, or an alias")],
    as_json: Json = False,
) -> None:
    """Show one model: its providers, missing settings, and inputs."""
    from callsheet.cli.printing import show, show_json
    from callsheet.domain.did_you_mean import did_you_mean
    from callsheet.domain.errors import NotFound

    records = _records()
    record = next((record for record in records if model_id in (record.id, *record.aliases)), None)
    if record is None:
        hint = did_you_mean(model_id, [known.id for known in records])
        raise NotFound(f"There is no model '{model_id}'{hint or '; `callsheet models` lists all models.'}")
    if as_json:
        show_json(record.model_dump(mode="json", by_alias=True))
        return
    show(f"{record.id}: {record.name}, makes {record.makes}")
    if record.summary:
        show(record.summary)
    _show_offers(record)


def _show_offers(record: "ModelRecord") -> None:
    from callsheet.cli.printing import show, show_columns

    for offer in record.offers:
        show("")
        show(f"{offer.provider}, as {offer.model}: {'ready' if offer.ready else offer.why_not or _NOT_READY}")
        show(f"Price: {offer.price_text}")
        if offer.unit_price is not None:
            show(f"Read at: {offer.unit_price.source}")
        rows = [(p.name, p.kind, _needed(p), _bounds(p), p.description) for p in offer.parameters]
        show_columns(("INPUT", "KIND", "DEFAULT", "TAKES", "WHAT IT IS"), rows)


def _records() -> "list[ModelRecord]":
    import asyncio

    from callsheet.cli.bootstrap import load_settings
    from callsheet.providers.catalog import discover_providers
    from callsheet.providers.listing import list_models

    async def read() -> "list[ModelRecord]":
        settings = load_settings()
        async with discover_providers(settings) as providers:
            return list_models(providers, settings)

    return asyncio.run(read())


def _providers(record: "ModelRecord", *, ready: bool) -> str:
    return ", ".join(dict.fromkeys(offer.provider for offer in record.offers if offer.ready is ready))


def _prices(record: "ModelRecord") -> str:
    """Return the price of the model, with the names of its providers if they differ."""
    prices = {offer.provider: offer.price_summary for offer in record.offers}
    if len({*prices.values()}) == 1:
        return next(iter(prices.values()))
    return "; ".join(f"{provider} {price}" for provider, price in prices.items())


def _needed(parameter: "ParameterRecord") -> Any:
    return "needed" if parameter.required and parameter.default is None else parameter.default


def _bounds(parameter: "ParameterRecord") -> str:
    if parameter.choices is not None:
        return ", ".join(map(str, parameter.choices))
    low, high = parameter.minimum, parameter.maximum
    bounds = [f"from {low:g}"] if low is not None else []
    bounds += [f"up to {high:g}"] if high is not None else []
    bounds += [f"up to {parameter.max_length:,} characters"] if parameter.max_length is not None else []
    return " ".join(bounds)
