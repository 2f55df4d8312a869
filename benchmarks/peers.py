"""The peers side by side: makes an environment for each, runs accuracy and overhead on one fake machine, writes the page.

    python benchmarks/peers.py --venv FOLDER            # everything; FOLDER keeps the peers' environments for the next time
    python benchmarks/peers.py --venv FOLDER --quick    # a few trials of everything, to see that it works
    python benchmarks/peers.py --page-only              # the page again from the figures that are there

The machine is ``tests/fakes/fake_nvml``: a libnvidia-ml whose power is a known function of time, under the unmodified binding of each
tool. Needs a C compiler and, once, a package index.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from contestants import PAGE, RESULTS, bench, contestants, options, say, write


def main(arguments: Sequence[str] | None = None) -> None:
    import accuracy
    import ends
    import overhead
    import peers_page

    parser = options(__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures (JSON) are written")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="the page; its plots go into plots/ beside it"
    )
    parser.add_argument(
        "--page-only", action="store_true", help="write the page from the figures that are there"
    )
    chosen = parser.parse_args(arguments)
    if not chosen.page_only:
        with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as scratch:
            ready = bench(chosen, scratch)
            write(
                chosen.results / "accuracy.json",
                accuracy.measured(ready, contestants(chosen.without_peers), quick=chosen.quick),
            )
            write(
                chosen.results / "ends.json",
                ends.measured(ready, contestants(chosen.without_peers), quick=chosen.quick),
            )
            write(
                chosen.results / "overhead.json",
                overhead.measured(ready, contestants(chosen.without_peers), quick=chosen.quick),
            )
    peers_page.write_page(chosen.results, chosen.page)
    say(f"wrote {chosen.page}")


if __name__ == "__main__":
    main()
