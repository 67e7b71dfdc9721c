"""`python -m tests.chaos [--world embedded|real] [--jobs 200] [--minutes 15] [--seed 0]`: faults without end.

Submits jobs over REST while workers, API, scheduler, broker, database and object store are killed, restarted, halted or
emptied, one every few seconds. Prints what came of it as JSON, and each broken promise on a line of its own; the exit
status is 0 only when there is none. Promised: every job succeeds, with one result, bit-identical to an undisturbed
run's, and one event under one id, delivered at least once; nothing of lost runs is left behind.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import Plan, run_campaign
from tests.chaos.worlds import embedded_world, real_world

WORLDS = {"embedded": embedded_world, "real": real_world}


def main() -> None:
    """Run one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="real")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--interval", type=float, default=4.0, help="seconds between two faults")
    parser.add_argument("--outage", type=float, default=10.0, help="seconds that an outage lasts")
    parser.add_argument("--minutes", type=float, default=15.0, help="give up after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--presets", default="clean-only", help="comma-separated")
    parser.add_argument("--faults", default="", help="comma-separated; default: all that the world has")
    parser.add_argument("--folder", type=Path, help="keep data and logs here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="limpid-chaos-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with WORLDS[arguments.world](folder, outage_s=arguments.outage) as world:
            plan = Plan(
                jobs=arguments.jobs,
                faults=arguments.faults.split(",") if arguments.faults else [*world.faults],
                interval_s=arguments.interval,
                seed=arguments.seed,
                timeout_s=arguments.minutes * 60,
                presets=arguments.presets.split(","),
            )
            outcome = run_campaign(world, plan)
    sys.stdout.write(json.dumps(outcome.figures, indent=2) + "\n")
    sys.stdout.writelines(f"{line}\n" for line in outcome.violations)
    sys.exit(1 if outcome.violations else 0)


if __name__ == "__main__":
    main()
