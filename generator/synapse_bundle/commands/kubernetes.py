"""`synapse-bundle kubernetes`: the bundle as manifests for a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import BundleError
from ..kubernetes import bundle_files, compose_model, conversion, manifest_folder
from ..options import output_option


@click.command()
@output_option
@click.option(
    "--manifests",
    type=click.Path(path_type=Path),
    default=Path("kubernetes"),
    show_default=True,
    help="Directory of the manifests, replaced as a whole; it holds secrets.",
)
def kubernetes(bundle: Path, manifests: Path) -> None:
    """Write the bundle as manifests for a Kubernetes cluster; change nothing else."""
    from .. import engine

    try:
        manifest_folder.require_replaceable(manifests)
        manifest_folder.require_outside(manifests, bundle)
        document = engine.read_model(bundle)
        files = bundle_files.read_files(bundle, compose_model.read_model(document))
        manifest_folder.replace(manifests, conversion.convert(document, files))
    except compose_model.ConversionError as error:
        raise BundleError(f"{error}. Nothing was written.") from error
    click.echo(f"{manifests}: written\n\n  kubectl apply -k {manifests}")
