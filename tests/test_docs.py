"""Documentation that cannot rot: commands, targets, settings, links, containers and pins are what the files say."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from medproto.training.settings import TrainSettings, read_settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
#: A command as README, changelog or a sentence on screen names it: between backticks.
NAMED = re.compile(r"`medproto ([^`]+)`")


@pytest.fixture(scope="module")
def application() -> typer.Typer:
    """The command line."""
    from medproto.cli import app

    return app


def commands(group: TyperGroup, prefix: str = "") -> Iterator[tuple[str, TyperCommand]]:
    """Every command that can be run, with its full name."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{prefix}{name} ")
        elif isinstance(command, TyperCommand) and not command.hidden:
            yield f"{prefix}{name}", command


@pytest.fixture(scope="module")
def known(application: typer.Typer) -> dict[str, TyperCommand]:
    """The command line's commands by name."""
    whole = typer.main.get_command(application)
    assert isinstance(whole, TyperGroup)
    return dict(commands(whole))


def command_named(text: str, known: dict[str, TyperCommand]) -> str:
    """The command that the words of a documented command begin with; empty when there is none."""
    words = shlex.split(text)
    return next((name for n in range(len(words), 0, -1) if (name := " ".join(words[:n])) in known), "")


def documented() -> list[str]:
    """Every command in the README, as it is written there."""
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
    typed = re.findall(r"^medproto (.+)$", blocks, re.MULTILINE)
    return sorted({*NAMED.findall(README), *typed} - {"COMMAND --help"})


def test_every_command_of_the_readme_exists_with_its_options(known: dict[str, TyperCommand]) -> None:
    assert len(documented()) > 10
    for text in documented():
        name = command_named(text, known)
        assert name, f"README: no command for 'medproto {text}'"
        options = {
            option for parameter in known[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        named = set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z-]*", text))
        assert named <= options, f"README: 'medproto {text}'"


def test_every_command_is_in_the_readme(known: dict[str, TyperCommand]) -> None:
    assert set(known) - {command_named(text, known) for text in documented()} == set()


def test_every_command_explains_itself(application: typer.Typer, known: dict[str, TyperCommand]) -> None:
    for name, command in known.items():
        shown = CliRunner().invoke(application, [*name.split(), "--help"])
        assert shown.exit_code == 0, f"{name}: {shown.output}"
        assert command.help, name


def test_commands_named_in_sources_and_guides_exist(known: dict[str, TyperCommand]) -> None:
    files = [path for folder in ("audit", "ui") for path in (ROOT / folder).rglob("*.py")]
    files += [*(ROOT / "medproto").glob("*.py"), *(ROOT / "medproto" / "datasets").glob("*.py")]
    groups = {" ".join(name.split()[:n]) for name in known for n in range(1, len(name.split()))}
    wrong = [
        f"{path.relative_to(ROOT)}: medproto {text}"
        for path in (*files, *PAGES)
        for text in NAMED.findall(path.read_text(encoding="utf-8"))
        if text != "COMMAND --help" and text not in groups and not command_named(re.split(r"[|{]", text)[0], known)
    ]
    assert wrong == []


def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_every_make_target_that_is_named_exists() -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", pages, re.MULTILINE))
    assert {"demo", "test", "install", "check"} <= named
    assert named - targets() == set()


def test_the_makefile_lists_every_target() -> None:
    listed = re.findall(r"^([a-z-]+):[^#\n]*## \S", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(listed) == targets()


def test_there_is_a_configuration() -> None:
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_key_of_a_configuration_is_known(path: Path) -> None:
    assert isinstance(read_settings(path), TrainSettings)


def test_configurations_that_are_named_exist() -> None:
    texts = [README, (ROOT / "Makefile").read_text(encoding="utf-8")]
    named = {name for text in texts for name in re.findall(r"configs/[\w-]+\.yaml", text)}
    assert named
    assert {name for name in named if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_local_link_and_picture_exists(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = {link.partition("#")[0] for link in links if not link.startswith(("http://", "https://", "#"))}
    assert {link for link in local if not (page.parent / link).exists()} == set()


def test_every_anchor_of_the_readme_is_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors


def test_the_changelog_has_an_unreleased_section_with_sentences() -> None:
    section = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("## [Unreleased]")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.+)$", section, re.MULTILINE) == ["Added", "Changed"]
    entries = re.split(r"^- ", re.sub(r"^### .*$", "", section, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry for entry in entries if not entry.rstrip().splitlines()[-1].endswith(".")] == []


def test_compose_has_the_reading_room_and_its_database() -> None:
    assert set(COMPOSE["services"]) == {"ui", "postgres"}
    assert COMPOSE["services"]["postgres"]["image"] == "postgres:16"
    assert COMPOSE["services"]["ui"]["environment"]["MEDPROTO_LEDGER_URL"].startswith("postgresql+psycopg://")
    assert all("test" in service["healthcheck"] for service in COMPOSE["services"].values())


def test_compose_mounts_the_bundle_read_only_and_keeps_the_home() -> None:
    mounts = {mount["target"]: mount for mount in COMPOSE["services"]["ui"]["volumes"]}
    assert mounts["/bundle"]["type"] == "bind"
    assert mounts["/bundle"]["read_only"] is True
    assert COMPOSE["services"]["ui"]["environment"]["MEDPROTO_BUNDLE"] == "/bundle"
    home = mounts[COMPOSE["services"]["ui"]["environment"]["MEDPROTO_HOME"]]
    assert home["type"] == "volume"
    assert home["source"] in COMPOSE["volumes"]


def test_compose_has_no_password_of_its_own() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name:
                assert re.fullmatch(r"\$\{POSTGRES_PASSWORD:\?[^}]+\}", value), name
    url = COMPOSE["services"]["ui"]["environment"]["MEDPROTO_LEDGER_URL"]
    assert ":" not in url.partition("://")[2].partition("@")[0]


def test_compose_publishes_on_loopback_alone() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_compose_lets_the_reading_room_write_to_its_volumes_alone() -> None:
    room = COMPOSE["services"]["ui"]
    assert room["read_only"] is True
    assert room["cap_drop"] == ["ALL"]
    written = {mount["target"]: mount["source"] for mount in room["volumes"] if not mount.get("read_only")}
    assert written == {"/var/lib/medproto": "home", "/tmp": "scratch"}
    assert set(written.values()) <= set(COMPOSE["volumes"])


def test_compose_passes_on_what_the_reading_room_reads(known: dict[str, TyperCommand]) -> None:
    read = {str(parameter.envvar) for parameter in known["ui"].params if parameter.envvar}
    given = set(COMPOSE["services"]["ui"]["environment"])
    assert read - given == {"MEDPROTO_INBOX"}
    assert given - read == {"PGPASSWORD", "MEDPROTO_OIDC_SECRET"}


def test_the_image_runs_as_somebody_and_copies_what_the_build_sees() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines if line.startswith("USER ")] == ["medproto"]
    seen = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert set(copied) == seen
    assert [name for name in copied if not (ROOT / name).exists()] == []


def pins() -> dict[str, str]:
    """Version of every distribution that constraints.txt fixes."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for text in (*project["dependencies"], *extras["demo"], *extras["dev"]):
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), text


def test_what_the_dependencies_bring_is_pinned_too() -> None:
    waiting = [Requirement("medproto[demo,dev]")]
    missing, visited = set(), set[str]()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in visited:
            continue
        visited.add(str(requirement))
        for text in importlib.metadata.requires(requirement.name) or ():
            needed = Requirement(text)
            asked = [{"extra": extra} for extra in ("", *requirement.extras)]
            if needed.marker is None or any(needed.marker.evaluate(extra) for extra in asked):
                waiting.append(needed)
                missing |= {needed.name} if canonicalize_name(needed.name) not in pins() else set()
    assert missing == set()
