"""Have atheris look for inputs: ``python -m tests.fuzz TARGET [SECONDS] [OPTION...]``.

Options are those of libFuzzer (``-jobs=2``, ``-max_len=200``, a file to try once more). What is
found is written to ``.fuzz/TARGET/`` and ends the run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

WORK = Path(__file__).parents[2] / ".fuzz"


def main() -> None:
    """Fuzz."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    name, *options = sys.argv[1:]
    seconds = options.pop(0) if options and options[0].isdigit() else "60"
    with atheris.instrument_imports(include=["katcp", "katcp_codec"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS, corpus

    entry = TARGETS[name]
    work = WORK / name
    corpus.write([*entry.seeds(), *corpus.found(name)], work / "seeds")
    (work / "corpus").mkdir(exist_ok=True)
    case = entry.make()
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-artifact_prefix={work}/",
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-max_len=4096",
            "-print_final_stats=1",
            *options,
            *(
                []
                if any(not option.startswith("-") for option in options)
                else [str(work / "corpus"), str(work / "seeds")]
            ),
        ],
        case,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
