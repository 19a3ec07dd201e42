"""Settings: values in, unknown keys named with the allowed ones, overrides by path."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from medproto.errors import ConfigError
from medproto.training.settings import TrainSettings, read_settings

PHANTOM = Path(__file__).resolve().parents[2] / "configs" / "phantom.yaml"
WARM_UP = {"name": "warm-up", "epochs": 1, "learning_rates": {"prototypes": 0.003}}
SMALL: dict[str, object] = {
    "name": "small",
    "classes": {"rest": ["normal", "benign"], "malignant": ["malignant"]},
    "positive_class": "malignant",
    "stages": [WARM_UP],
}


def written(folder: Path, **changes: object) -> Path:
    """A settings file with these changes."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}, sort_keys=False))
    return path


def test_phantom_settings_are_read() -> None:
    settings = read_settings(PHANTOM)
    assert settings.network().classes == ("not malignant", "malignant")
    assert [stage.name for stage in settings.stages] == ["warm-up", "joint"]


def test_settings_survive_the_way_through_json(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path))
    assert TrainSettings.model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sead": 1}, r"unknown key 'sead', allowed here: classes, costs, cycles, data, deterministic, ingest, "),
        ({"model": {"strid": 8}}, r"unknown key 'model\.strid', allowed here: backbone, classes, latent_channels, "),
        ({"inputs": {"row": 8}}, r"unknown key 'inputs\.row', allowed here: columns, margin, rows"),
        (
            {"stages": [{**WARM_UP, "epoch": 1}]},
            r"unknown key 'stages\.0\.epoch', allowed here: accumulate, balanced, batch, clip_norm, epochs, ",
        ),
        (
            {"stages": [{"name": "a", "epochs": 0, "learning_rates": {}}]},
            r"stages\.0\.epochs: .*greater than or equal to 1",
        ),
        (
            {"stages": [{"name": "a", "epochs": 1, "learning_rates": {"head": 1}}]},
            r"head.*'backbone', 'add_on' or 'prototypes'",
        ),
        ({"model": {"stride": 4}}, r"model\.stride: Input should be 8, 16 or 32"),
        ({"positive_class": "cancer"}, r"positive_class: got 'cancer', expected one of rest, malignant"),
        ({"sensitivity": 1.5}, r"sensitivity: Input should be less than or equal to 1"),
        ({"costs": {"cluster": float("inf")}}, r"costs\.cluster: Input should be a finite number"),
    ],
)
def test_wrong_key_or_value_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"configuration 'small.yaml': .*{message}"):
        read_settings(written(tmp_path, **changes))


def test_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("name: small\n")
    with pytest.raises(ConfigError, match="classes: Field required"):
        read_settings(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"- a\n- b\n", "got list in 'bad.yaml', expected keys and values"),
        (b"", "got NoneType in 'bad.yaml', expected keys and values"),
        (b"name: [", "'bad.yaml' is not YAML"),
        (b"\xff\xfe\x00", "'bad.yaml' is not YAML"),
    ],
)
def test_file_that_holds_no_settings_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_settings(tmp_path / "bad.yaml")


def test_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"configuration: cannot read 'none.yaml' \(No such file or directory\)"):
        read_settings(tmp_path / "none.yaml")


def test_overrides_reach_into_sections(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path), ("seed=7", "model.backbone=tiny", "last_layer.l1=[0.1, 0.2]"))
    assert (settings.seed, settings.model.backbone, settings.last_layer.l1) == (7, "tiny", (0.1, 0.2))


@pytest.mark.parametrize(
    "override, message",
    [
        ("seed", "override: got 'seed', expected key=value"),
        ("name.first=1", "'name.first' goes through 'name', which holds a value, expected a section"),
        ("model.size=1", r"unknown key 'model\.size', allowed here"),
        ("seed=[", "override: the value of 'seed' is not YAML"),
    ],
)
def test_override_that_leads_nowhere_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(written(tmp_path), (override,))


def test_label_without_a_class_is_named(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path))
    assert [settings.class_of(label) for label in ("normal", "benign", "malignant")] == [0, 0, 1]
    with pytest.raises(
        ConfigError, match="no class for the manifest label 'unsure', expected one of normal, benign, mal"
    ):
        settings.class_of("unsure")


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path))
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 3  # type: ignore[misc]
