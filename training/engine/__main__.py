"""The engine on the command line: python -m training.engine --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .run import prepare_environment


def main(arguments: list[str] | None = None) -> int:
    """Parse, and hand over to the command's module, which is imported only then."""
    options = _parser().parse_args(arguments)
    prepare_environment()  # before any library is loaded
    return options.command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.engine", description="AiFineTune's training program. A directory is its interface."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run one attempt",
        description="Train as DIR/spec.json says. Writes events.jsonl, checkpoints/ and output/ into DIR; continues from the "
        "newest whole checkpoint in DIR. Touch DIR/cancel or send SIGTERM to stop after the current step.",
        epilog="Exit codes: 0 succeeded, 1 failed, 2 bad spec, 3 cancelled, 4 no room on the disk even to say so. The options of a spec: python -m training.engine options.",
    )
    run.add_argument("dir", type=Path, metavar="DIR", help="a run directory with spec.json")
    run.set_defaults(command=_run)

    supervise = commands.add_parser("supervise", help="run one attempt in a process of its own and write exit.json when it ends")
    supervise.add_argument("dir", type=Path, metavar="DIR", help="a run directory with spec.json")
    supervise.set_defaults(command=_supervise)

    server = commands.add_parser(
        "forkserver", help="wait on a Unix socket and start runs from a warm process; ends when stdin closes"
    )
    server.add_argument("socket", type=Path, metavar="SOCKET", help="where to listen")
    server.set_defaults(command=_forkserver)

    verify = commands.add_parser("verify", help="compare a run's output with its manifest, by hash")
    verify.add_argument("dir", type=Path, metavar="DIR", help="a run directory, or an output of one")
    verify.set_defaults(command=_verify)

    rows = commands.add_parser("rows", help="write a dataset for a run by hand: JSON lines into Parquet")
    rows.add_argument("source", type=Path, metavar="JSONL", help="a file of JSON lines (training/engine/rows.py says which)")
    rows.add_argument("target", type=Path, metavar="PARQUET", help="where to write")
    rows.set_defaults(command=_rows)

    options = commands.add_parser("options", help="list every option with its default, bounds and meaning")
    options.add_argument("--markdown", action="store_true", help="as docs/hyperparameters.md holds it")
    options.set_defaults(command=_options)

    sample = commands.add_parser("sample", help="make the small sample model and its dataset; needs no network")
    sample.add_argument("dir", type=Path, metavar="DIR", help="where to put model/ and rows.jsonl")
    sample.set_defaults(command=_sample)
    return parser


def _run(options: argparse.Namespace) -> int:
    from .run import run

    return run(options.dir)


def _rows(options: argparse.Namespace) -> int:
    from .rows import write_rows

    try:
        print(f"{write_rows(options.source, options.target)} rows")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _options(options: argparse.Namespace) -> int:
    from .option_table import markdown, plain

    print(markdown() if options.markdown else plain(), end="")
    return 0


def _supervise(options: argparse.Namespace) -> int:
    from .supervise import supervise

    return supervise(options.dir)


def _forkserver(options: argparse.Namespace) -> int:
    from .forkserver import serve

    return serve(options.socket)


def _verify(options: argparse.Namespace) -> int:
    from .verify import verify

    return verify(options.dir)


def _sample(options: argparse.Namespace) -> int:
    from .sample import create_sample

    print(create_sample(options.dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
