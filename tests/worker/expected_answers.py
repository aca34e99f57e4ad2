"""What the Worker of a shape must answer: what the bundle's Apache answers at the same paths."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synapse_bundle.planning import Plan
from tests.bundles import plan_shape
from tests.settings import SHAPES
from tests.worker.runtime import WorkerModule

DOMAINS: Final = [shape for shape in SHAPES if "server_name:" in shape.read_text()]
FOLDER: Final = "/.well-known/matrix/"


@dataclass(frozen=True, kw_only=True)
class ExpectedAnswers:
    """A Worker, and of Apache the documents by name, the errors by status, and the headers."""

    worker: WorkerModule
    documents: Mapping[str, bytes]
    errors: Mapping[int, bytes]
    cors: Mapping[str, str]
    caching: str


@functools.cache
def read_shape(shape: Path) -> ExpectedAnswers:
    """Return what the Worker of a settings file must answer."""
    return read_plan(plan_shape(shape), shape.stem)


def read_plan(plan: Plan, name: str) -> ExpectedAnswers:
    """Return what the Worker of a bundle must answer; the name distinguishes it from others."""
    files = {str(file.path): file.content for file in plan.files}
    apache = files["apache/httpd.conf"].decode()
    location = apache.partition(f'<Location "{FOLDER}">')[2].partition("</Location>")[0]
    errors = dict(re.findall(r"ErrorDocument (\d+) '(.+)'", location))
    # Apache sends this one from a file of its own, with its headers.
    errors["405"] = files["apache/read-only-document.asis"].decode().partition("\n\n")[2]
    cors = re.findall(r'Header always set (Access-Control-\S+) "(.+)"', location)
    (caching,) = re.findall(r'Header set Cache-Control "(.+)"', apache)
    return ExpectedAnswers(
        worker=WorkerModule(
            name=name, host=plan.server_name, source=files["worker/worker.js"].decode()
        ),
        documents={
            Path(path).stem: content
            for path, content in files.items()
            if path.startswith("apache/well-known/")
        },
        errors={int(status): body.strip().encode() for status, body in errors.items()},
        cors={header.lower(): value for header, value in cors},
        caching=caching,
    )
