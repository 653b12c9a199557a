"""The live table of a study, on a terminal: the best so far, counts, running trials, time left."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live

from kaggle_hw4.cli.output import say, table

if TYPE_CHECKING:
    import optuna

    from kaggle_hw4.tuning.coordinator import Running
    from kaggle_hw4.tuning.plan import Plan

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24  # of a curve


class Watching:
    """Shows a study while it runs; silent where stderr is no terminal."""

    def __init__(self, finals: Callable[[int, int | None], None]) -> None:
        self.finals = finals
        console = Console(stderr=True)
        self.live = Live(console=console, transient=True, auto_refresh=False)
        self.terminal = console.is_terminal

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def say(self, text: str) -> None:
        say(text)

    def show(self, plan: "Plan", study: "optuna.Study", running: "Sequence[Running]") -> None:
        if not self.terminal:
            return
        if not self.live.is_started:
            self.live.start()
        self.live.update(self.picture(plan, study, running), refresh=True)
        if not running:
            self.live.stop()

    def picture(self, plan: "Plan", study: "optuna.Study", running: "Sequence[Running]") -> Any:
        from kaggle_hw4.tuning.study import best_trials, count

        tally = count(study)
        best = best_trials(study, plan.objective, 1)
        leader = f"best {best[0].value:.4f} (trial {best[0].number})" if best else "no best yet"
        head = (
            f"{plan.name}: {tally.told} of {plan.trials} told, {tally.pruned} pruned, "
            f"{tally.failed} failed; {leader}; {left(plan, study, tally.told)}"
        )
        rows = [
            (one.trial.number, curve(list(one.curve.values())), f"{max(one.curve, default=0):,}")
            for one in running
        ]
        return Group(head, table(("trial>", "validation", "step>"), rows))


def curve(values: Sequence[float]) -> str:
    """The last values as bars, from the lowest to the highest, and the last one in figures."""
    if not values:
        return ""
    low, span = min(values), (max(values) - min(values)) or 1.0
    bars = "".join(BARS[int((v - low) / span * (len(BARS) - 1))] for v in values[-WIDTH:])
    return f"{bars} {values[-1]:.4f}"


def left(plan: "Plan", study: "optuna.Study", told: int) -> str:
    """The time left, at the pace of the trials so far."""
    trials = study.get_trials(deepcopy=False)
    seconds = [t.duration.total_seconds() for t in trials if t.duration]
    if not seconds:
        return "time left unknown"
    minutes = (plan.trials - told) * sum(seconds) / len(seconds) / plan.jobs / 60
    return f"about {minutes:.0f} min left, then the finals"
