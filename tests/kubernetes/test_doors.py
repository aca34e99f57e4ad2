"""The two doors of the conversion give the same bytes; what they refuse, they leave as it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from synapse_bundle.cli import main
from synapse_bundle.kubernetes import __main__ as bridge_door
from tests.bundles import plan_shape
from tests.kubernetes.conversions import convert_plan, model_compose, read_plan
from tests.settings import SHAPES
from tests.support.engine import docker

# What Bridge mounts the folders at: https://docs.docker.com/compose/bridge/customize/.
PLACES = {"model": "/in", "bundle": "/templates", "manifests": "/out"}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with every kind of file, and its folder as the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").write_text("workers: small\nmemory: 4G\n")
    assert CliRunner().invoke(main, ["generate"]).exit_code == 0
    return tmp_path / "bundle"


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.engine
def test_both_doors_give_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    """The command, and the image as Compose Bridge runs it: as any user, of the group root."""
    assert CliRunner().invoke(main, ["kubernetes"]).exit_code == 0
    build = ("build", "--quiet", "--target", "transformation", str(bundle / "images/helper"))
    image = docker(*build)
    folders = {name: tmp_path / name for name in PLACES}
    for name in ("model", "manifests"):
        folders[name].mkdir()
        folders[name].chmod(0o777)
    model = docker(
        *("compose", "--project-directory", str(bundle), "--file", str(bundle / "compose.yaml")),
        *("--profile", "tools", "config"),
    )
    # Compose doubles a `$` for itself alone; Bridge hands the model over without.
    (folders["model"] / "compose.yaml").write_text(model.replace("$$", "$"))
    binds = [f"--volume={folders[name]}:{place}" for name, place in PLACES.items()]
    docker("run", "--rm", f"--user={os.getuid()}:0", "--network=none", *binds, image)
    assert read_tree(folders["manifests"]) == read_tree(tmp_path / "kubernetes")
    # Whoever runs it writes nothing into it: what is not compiled is compiled each time.
    assert "conversion." in docker(
        "run", "--rm", "--network=none", image, "ls", "kubernetes/__pycache__"
    )
    label = '{{index .Config.Labels "com.docker.compose.bridge"}}'
    assert docker("image", "inspect", "--format", label, image) == "transformation"
    docker("image", "rm", image)


@pytest.mark.engine
@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_compose_reads_the_bundle_as_the_tests_do(shape: Path, tmp_path: Path) -> None:
    """What the laws are about is what a user gets: Compose's own model gives the same manifests."""
    from synapse_bundle import engine
    from synapse_bundle.kubernetes.bundle_files import read_files
    from synapse_bundle.kubernetes.compose_model import read_model
    from synapse_bundle.kubernetes.conversion import convert

    plan = plan_shape(shape)
    for file in plan.files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_bytes(file.content)
    document = engine.read_model(tmp_path)
    files = read_files(tmp_path, read_model(document))
    assert convert(document, files) == convert_plan(plan)


def test_yaml_is_read_by_libyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own parser takes ten times as long, for the model that Bridge hands over above all."""
    plan = plan_shape(SHAPES[0])
    for file in plan.files:
        (tmp_path / "bundle" / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bundle" / file.path).write_bytes(file.content)
    (tmp_path / "compose.yaml").write_text(yaml.dump(model_compose(plan)))
    (tmp_path / "manifests").mkdir()
    expected = convert_plan(plan)
    monkeypatch.delattr(yaml.reader.Reader, "__init__")
    places = (tmp_path / name for name in ("compose.yaml", "bundle", "manifests"))
    assert bridge_door.main(*places) == 0
    assert read_tree(tmp_path / "manifests").items() >= expected.items()


def test_what_a_command_leaves_that_was_cut_off_is_not_read(tmp_path: Path) -> None:
    """The journal of a rotation, which has old and new secrets, and half a file."""
    from synapse_bundle.kubernetes.bundle_files import read_files
    from synapse_bundle.kubernetes.compose_model import read_model

    plan = plan_shape(SHAPES[0])
    for file in plan.files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_bytes(file.content)
    for name in (".rotation.json", ".signing.key.abc.bundle-new"):
        (tmp_path / "secrets" / name).write_text("secret")
    assert read_files(tmp_path, read_model(model_compose(plan))) == read_plan(plan)


@pytest.mark.engine
def test_manifests_are_for_their_owner_alone_and_replaced_as_a_whole(
    bundle: Path, tmp_path: Path
) -> None:
    """They hold secrets. A second run leaves nothing of the first one."""
    folder = tmp_path / "kubernetes"
    assert CliRunner().invoke(main, ["kubernetes"]).exit_code == 0
    first = read_tree(folder)
    (folder / "stale.yaml").write_text("")
    assert CliRunner().invoke(main, ["kubernetes"]).exit_code == 0
    assert read_tree(folder) == first
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {0o700, 0o600}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".kub")] == []


@pytest.mark.engine
def test_a_folder_of_others_is_never_replaced(bundle: Path, tmp_path: Path) -> None:
    """A folder without our marker, a file, a link, and the bundle itself."""
    other = tmp_path / "kubernetes"
    other.mkdir()
    (other / "mine.yaml").write_text("kind: Mine\n")
    result = CliRunner().invoke(main, ["kubernetes"])
    assert (result.exit_code, "holds other files" in result.output) == (1, True)
    assert read_tree(other) == {"mine.yaml": b"kind: Mine\n"}
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(other)
    for place, said in (("file", "is not a folder"), ("link", "is not a folder")):
        result = CliRunner().invoke(main, ["kubernetes", "--manifests", place])
        assert (result.exit_code, said in result.output) == (1, True), result.output
    result = CliRunner().invoke(main, ["kubernetes", "--manifests", "bundle/inside"])
    assert (result.exit_code, "is in the bundle" in result.output) == (1, True)
    assert not (bundle / "inside").exists()


@pytest.mark.engine
def test_what_a_cluster_cannot_have_is_refused(bundle: Path) -> None:
    """A service of the operator's own, with what to do instead."""
    (bundle / "compose.override.yaml").write_text(
        "services:\n  extra:\n    image: extra\n    user: '1:1'\n    mem_limit: 1m\n"
        "    labels: {synapse-bundle.inputs: x}\n"
    )
    result = CliRunner().invoke(main, ["kubernetes"])
    assert result.exit_code == 1
    assert "'extra' is not in cluster.yaml" in result.output
    assert not Path("kubernetes").exists()
