"""``maskstack explain``: photos in, overlays, figures and explanations out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from maskstack.jobs.explain import Request, explain_photos
from maskstack.errors import InputError
from maskstack.masks.presets import PRESETS
from maskstack.objectives import NAMED

_SEARCH = "Search settings (the preset's where not given)"
_TRUST = "How far to trust the map (each costs as much as the map again)"


def explain(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Image files that Pillow reads.")],
    model: Annotated[str, typer.Option(help="The network, see 'maskstack models'.")] = "bundled",
    target: Annotated[
        str, typer.Option(help="Class name or index, or top5 (any number); the predicted class if not given.")
    ] = "top1",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    resume: Annotated[bool, typer.Option("--resume", help="Skip photos whose finished results fit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, nothing else.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")] = "auto",
    objective: Annotated[str, typer.Option(help=f"What is kept: {', '.join(NAMED)}.")] = "probability",
    preset: Annotated[str, typer.Option(help=f"Settings to start from: {', '.join(PRESETS)}.")] = "default",
    trust_seeds: Annotated[
        int, typer.Option(min=1, help="Seeds whose maps are compared, the first included.", rich_help_panel=_TRUST)
    ] = 1,
    trust_randomized: Annotated[
        bool,
        typer.Option("--trust-randomized", help="Compare with the network made random.", rich_help_panel=_TRUST),
    ] = False,
    animate: Annotated[
        str | None, typer.Option(help="gif or webp: also write the masks while they are learned.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(help="Grid sizes, as 4,7,14 or 4x6,8x12.", rich_help_panel=_SEARCH)
    ] = None,
    joint: Annotated[
        bool | None, typer.Option("--joint/--separate", help="All sizes as one mask, or each.", rich_help_panel=_SEARCH)
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps at most.", rich_help_panel=_SEARCH)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.", rich_help_panel=_SEARCH)] = None,
    mask_weight: Annotated[float | None, typer.Option(help="Price of an open mask.", rich_help_panel=_SEARCH)] = None,
    smoothness: Annotated[float | None, typer.Option(help="Price of a contour.", rich_help_panel=_SEARCH)] = None,
    fill: Annotated[
        str | None, typer.Option(help="zero, mean, blur, noise; several take turns.", rich_help_panel=_SEARCH)
    ] = None,
    blur: Annotated[
        float | None, typer.Option(help="Of the blur fill, share of the shorter side.", rich_help_panel=_SEARCH)
    ] = None,
    consistency: Annotated[
        str | None, typer.Option(help="one_sided, squared or absolute.", rich_help_panel=_SEARCH)
    ] = None,
    parametrisation: Annotated[str | None, typer.Option(help="sigmoid or clip.", rich_help_panel=_SEARCH)] = None,
    start: Annotated[
        float | None, typer.Option(help="Value of every cell before the first step.", rich_help_panel=_SEARCH)
    ] = None,
    stack: Annotated[str | None, typer.Option(help="mean, normalised or geometric.", rich_help_panel=_SEARCH)] = None,
    tolerance: Annotated[float | None, typer.Option(help="Least improvement.", rich_help_panel=_SEARCH)] = None,
    patience: Annotated[
        int | None, typer.Option(help="Steps without it before stopping; 0 never.", rich_help_panel=_SEARCH)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise fill.", rich_help_panel=_SEARCH)] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Masked images in one pass at most.", rich_help_panel=_SEARCH)
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 or bf16.", rich_help_panel=_SEARCH)] = None,
    channels_last: Annotated[
        bool | None, typer.Option("--channels-last/--channels-first", rich_help_panel=_SEARCH)
    ] = None,
    compile: Annotated[bool | None, typer.Option("--compile/--no-compile", rich_help_panel=_SEARCH)] = None,  # noqa: A002
) -> None:
    """Show which region of each photo made the network answer as it did."""
    given: dict[str, Any] = {
        "joint": joint,
        "steps": steps,
        "learning_rate": learning_rate,
        "mask_weight": mask_weight,
        "smoothness": smoothness,
        "blur": blur,
        "consistency": consistency,
        "parametrisation": parametrisation,
        "start": start,
        "stack": stack,
        "tolerance": tolerance,
        "patience": patience,
        "seed": seed,
        "batch_size": batch_size,
        "precision": precision,
        "channels_last": channels_last,
        "compile": compile,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    if sizes is not None:
        settings["sizes"] = tuple(_size(part) for part in sizes.split(","))
    if fill is not None:
        settings["fill"] = tuple(part.strip() for part in fill.split(","))
    explain_photos(
        Request(
            photos=tuple(photos),
            model=model,
            target=target,
            out=out,
            resume=resume,
            as_json=as_json,
            device=device,
            objective=objective,
            preset=preset,
            settings=settings,
            trust_seeds=trust_seeds,
            trust_randomized=trust_randomized,
            animate=animate,
        )
    )


def _size(text: str) -> tuple[int, int]:
    parts = text.strip().lower().split("x")
    try:
        numbers = [int(part) for part in parts]
        height, width = numbers * 2 if len(numbers) == 1 else numbers
    except ValueError:
        raise InputError(f"--sizes has {text.strip()!r}; write whole numbers as 4,7,14 or pairs as 4x6,8x12") from None
    return height, width
