"""The console: every command of medproto. The one module of the package that may import `audit` and `ui`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from audit import cli as audit_cli
from audit import cli_users, report_cli
from medproto.commands import card as card_cli
from medproto.commands import evaluate as evaluate_cli
from medproto.commands import inspect as inspect_cli
from medproto.commands import prototypes as prototypes_cli
from medproto.commands import train as train_cli
from medproto.commands.caching import CacheBytes, CacheFolder, cache_of
from medproto.commands.data import app as data_app
from medproto.commands.region import Region, read_region
from medproto.console import Outcome, bars, console, count_bar, fail, note
from medproto.datasets.cache import CACHE_BYTES
from medproto.errors import EmptyExam, MedprotoError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prototype evidence for mammography, with an audit trail. Research use only, not for primary diagnosis.",
)
app.add_typer(audit_cli.app, name="audit")
app.add_typer(data_app, name="data")
app.add_typer(cli_users.app, name="user")
app.command("report")(report_cli.report)
app.command("verify-report")(report_cli.verify_report)
app.command("inspect")(inspect_cli.inspect)
app.command("prototypes")(prototypes_cli.prototypes)
app.command("train")(train_cli.train)
app.command("evaluate")(evaluate_cli.evaluate)
app.command("card")(card_cli.card)

Home = Annotated[Path, typer.Option(envvar="MEDPROTO_HOME", help="Directory with ledger, keys and evidence.")]
Url = Annotated[
    str | None,
    typer.Option("--ledger", envvar="MEDPROTO_LEDGER_URL", help="Database URL, where it is not in the home."),
]
HOME = Path("medproto-home")


@app.command()
def score(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them; grouped by exam.")],
    region: Region = None,
    full_depth: Annotated[
        bool, typer.Option(help="Keep every image with all its grey values too, to be windowed in the reading room.")
    ] = True,
    progress: Annotated[
        Path | None, typer.Option(help="File to which a line is added for every exam: its entry, as JSON.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="In whose name, where somebody else asked for it.")] = None,
    role: Annotated[str, typer.Option(help="Role of that person.")] = "reader",
    home: Home = HOME,
    ledger: Url = None,
) -> None:
    """Score exams; every result is in the ledger before its line is printed.

    Exit 0 if every image was scored, 3 if one was refused or could not be read; the others are scored all the same.
    """
    from audit.cli_options import operator
    from audit.room import Actor, BundleScorer, open_room
    from audit.service import score_exam
    from medproto.bundle import load_bundle
    from medproto.ingest.exam import find_candidates, group_exams
    from medproto.predict import scorer
    from medproto.registering import register_bundle

    loaded, outcome = load_bundle(bundle), Outcome()
    files: list[Path] = []
    for path in paths:
        try:
            files += find_candidates(path).paths if path.is_dir() else [path]
        except EmptyExam as err:  # an empty folder is one line, and the rest of the batch goes on
            outcome.failed += 1
            console.print(f"{path.name}/ not scored: {err}", markup=False, highlight=False)
    groups = group_exams(files) if files else []
    score_files = scorer(loaded, read_region(region), full_depth=full_depth)
    judge = BundleScorer(loaded.bundle_id, loaded.manifest.name, score_files, loaded.manifest.synthetic)
    who = Actor(actor, role) if actor else operator()
    note(progress, exams=len(groups))
    with open_room(home, ledger, create=True) as room, count_bar("scoring exams", len(groups)) as step:
        register_bundle(room, loaded, who)
        for group in groups:
            entry = score_exam(room, group.paths, judge, who)
            console.print(outcome.line(entry, group.paths), soft_wrap=True, markup=False, highlight=False)
            note(progress, entry=entry.number)
            step()
    raise typer.Exit(outcome.exit_code)


@app.command()
def register(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    evaluation: Annotated[
        Path | None, typer.Option(help="evaluation.json of this bundle, as `medproto evaluate --out` wrote it.")
    ] = None,
    home: Home = HOME,
    ledger: Url = None,
) -> None:
    """Write a bundle and its evaluation into the ledger, with the model card, for the reading room to show."""
    from audit.cli_options import operator
    from audit.room import open_room
    from medproto.bundle import load_bundle
    from medproto.card.evaluation import read_evaluation
    from medproto.registering import register_bundle, register_evaluation

    loaded, who = load_bundle(bundle), operator()
    evaluated = read_evaluation(evaluation, loaded.bundle_id) if evaluation else None
    with open_room(home, ledger, create=True) as room:
        register_bundle(room, loaded, who)
        if evaluated:
            register_evaluation(room, loaded, evaluated, who)
    what = "bundle and evaluation" if evaluated else "bundle"
    typer.echo(f"{what} in the ledger: {loaded.manifest.name}, {loaded.bundle_id}")


@app.command()
def crossval(
    config: Annotated[Path, typer.Argument(help="YAML configuration of the regions.")],
    source: Annotated[Path, typer.Argument(help="mini-MIAS: all-mias.tar.gz or its unpacked folder.")],
    work: Annotated[Path, typer.Option(help="Where DICOM files and manifests are written.")] = Path("runs/mini-mias"),
    bundle: Annotated[Path | None, typer.Option(help="Also write a bundle that never saw the last fold.")] = None,
    cache: CacheFolder = None,
    cache_bytes: CacheBytes = CACHE_BYTES,
) -> None:
    """Patient-level 5-fold on mini-MIAS regions: prototype network, linear probe and intensity baseline, with
    intervals."""
    from medproto.evaluation.crossval import crossval as run
    from medproto.evaluation.crossval import format_table, held_out_bundle
    from medproto.training.inputs import Loading
    from medproto.training.settings import read_settings

    settings, loading = read_settings(config), Loading(cache=cache_of(cache, cache_bytes))
    if source.is_dir() and (source / "all-mias.tar.gz").is_file():
        source = source / "all-mias.tar.gz"
    with bars() as report:
        result = run(settings, source, work, report, loading)
    typer.echo(format_table(result))
    if bundle:
        with bars() as report:
            folder, rows = held_out_bundle(settings, source, bundle, report, loading)
        typer.echo(f"{folder}: a bundle that never saw these patients; score one of their regions with")
        for row in rows[:3]:
            box = row.region
            place = f"{box.top:.0f},{box.left:.0f},{box.bottom:.0f},{box.right:.0f}" if box else ""
            typer.echo(f"  medproto score {folder} {row.path} --region {place}    # {row.label}")


@app.command()
def demo(
    target: Annotated[Path, typer.Argument(help="Directory for all that the demo makes.")] = Path("demo"),
    patients: Annotated[int, typer.Option(help="Synthetic patients; the figures in the README hold for 200.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the cohort.")] = 1,
) -> None:
    """The whole path on a synthetic cohort: DICOM, training, evaluation, ledger, PDF, trace. Repeating it is
    harmless."""
    from medproto.demo import run

    run(target, patients, seed)


@app.command("ui")
def open_ui(
    home: Home = HOME,
    ledger: Url = None,
    port: Annotated[int, typer.Option(help="TCP port.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; anything but loopback lets others in.")
    ] = "127.0.0.1",
    host: Annotated[
        list[str] | None, typer.Option(envvar="MEDPROTO_HOSTS", help="Further name by which the server is reached.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Nobody signs in; on this machine alone.")] = False,
    bundle: Annotated[
        Path | None, typer.Option(envvar="MEDPROTO_BUNDLE", help="Bundle that scores what is imported in the browser.")
    ] = None,
    inbox: Annotated[
        Path | None, typer.Option(envvar="MEDPROTO_INBOX", help="Folder whose folders can be imported.")
    ] = None,
    blind_first: Annotated[
        bool,
        typer.Option(
            "--blind-first",
            envvar="MEDPROTO_BLIND_FIRST",
            help="Readers sign their own opinion before a score is shown.",
        ),
    ] = False,
    oidc: Annotated[
        Path | None, typer.Option(envvar="MEDPROTO_OIDC", help="YAML file of the organisation's sign-in (OIDC).")
    ] = None,
) -> None:
    """Open the reading room in the browser, on this machine alone unless told otherwise."""
    import os

    from ui.launch import Serving, launch
    from ui.sign_in_settings import read_oidc

    if ledger:
        os.environ["MEDPROTO_LEDGER_URL"] = ledger
    # Written down again as what it was read as: of the words for no, the pages know the empty one alone.
    os.environ["MEDPROTO_BLIND_FIRST"] = "1" if blind_first else ""
    for name, folder in (("MEDPROTO_BUNDLE", bundle), ("MEDPROTO_INBOX", inbox)):
        if folder:
            os.environ[name] = str(folder.resolve())
    raise typer.Exit(launch(Serving(home, port, address, tuple(host or ()), demo, read_oidc(oidc) if oidc else None)))


def main() -> None:
    """Run the command line; an error of ours is one sentence on standard error and exit 2."""
    try:
        app()
    except MedprotoError as err:
        fail(str(err))
        sys.exit(2)
