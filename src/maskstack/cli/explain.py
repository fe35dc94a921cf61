"""``maskstack explain``: photos in, overlays, figures and explanations out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from maskstack.cli.options import (
    AsJson,
    Device,
    OutputChoice,
    Page,
    Photos,
    PresetName,
    Resume,
    ValueWindow,
    with_search_options,
)
from maskstack.cli.results import ResultReporter
from maskstack.jobs.explain import ExplainRequest, explain_photos
from maskstack.objectives import NAMED

_trust = partial(
    typer.Option, rich_help_panel="Further measures of trust (each further search costs as much as the map itself)"
)
_picture = partial(typer.Option, rich_help_panel="Pictures")


@with_search_options
def explain(
    photos: Photos,
    settings: Mapping[str, Any],
    model: Annotated[str, typer.Option(help="The network, see 'maskstack models'.")] = "bundled",
    target: Annotated[
        str, typer.Option(help="Class name or index, or top5 (any number); the predicted class if not given.")
    ] = "top1",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    resume: Resume = False,
    as_json: AsJson = False,
    device: Device = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Number of processes that share the photos, on the CPU; 2 for 32 or more photos."),
    ] = None,
    objective: Annotated[
        str, typer.Option(help=f"Which score of the class is explained: {', '.join(NAMED)}.")
    ] = "probability",
    output: OutputChoice = "",
    page: Page = "",
    window: ValueWindow = "",
    preset: PresetName = "default",
    trust_seeds: Annotated[int, _trust(min=1, help="Number of seeds whose maps are compared, the first included.")] = 1,
    trust_randomized: Annotated[
        bool, _trust("--trust-randomized", help="Compare with the map of the network with random parameters.")
    ] = False,
    regions: Annotated[
        int, typer.Option(min=0, help="Also find up to this many regions that each suffice by themselves.")
    ] = 0,
    against: Annotated[
        str,
        typer.Option(
            help="Explain why not this class, or 'second' (the most likely other one), and what would change it."
        ),
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="Print the numbers behind each map.")] = False,
    animate: Annotated[
        str | None, typer.Option(help="gif or webp: also write an animation of the masks while they are learned.")
    ] = None,
    map_kind: Annotated[
        str | None, _picture("--map", help="npy, png or nifti: also write the map in the photo's own frame.")
    ] = None,
    style: Annotated[
        str, _picture(help="contour (outline and light colours), heat (colours only) or masked (only the region).")
    ] = "contour",
    opacity: Annotated[
        float | None, _picture(help="Opacity of the colours, or of the veil of masked, from 0 to 1.")
    ] = None,
    colours: Annotated[str, _picture(help="Name of a matplotlib colour map.")] = "magma",
    grids: Annotated[bool, _picture("--grids", help="Add a row with the mask of each size to the figure.")] = False,
) -> None:
    """Show which region of each photo made the network predict a class."""
    request = ExplainRequest(
        photos=tuple(photos),
        model=model,
        target=target,
        out=out,
        resume=resume,
        device=device,
        workers=workers,
        objective=objective,
        output=output,
        page=page,
        window=window,
        preset=preset,
        settings=settings,
        trust_seeds=trust_seeds,
        trust_randomized=trust_randomized,
        regions=regions,
        against=against,
        animate=animate,
        map_kind=map_kind,
        style=style,
        opacity=opacity,
        colours=colours,
        grids=grids,
    )
    reporter = ResultReporter(as_json=as_json, verbose=verbose)
    explain_photos(request, reporter)
    reporter.finish(out)
