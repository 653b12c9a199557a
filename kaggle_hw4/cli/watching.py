"""The live table of a study, on a terminal: the best so far, counts, running trials, time left."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from kaggle_hw4.cli.output import page, say, table
from kaggle_hw4.pace import Pace, is_quiet

if TYPE_CHECKING:
    import optuna

    from kaggle_hw4.tuning.coordinator import RunningTrial
    from kaggle_hw4.tuning.plan import Plan

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24  # of a curve


class LiveTable:
    """The monitor of a study; plain lines where stderr is not a terminal."""

    def __init__(self, finals: Callable[[int, int | None], None]) -> None:
        self.finals = finals
        console = Console(stderr=True)
        self.live = Live(console=console, transient=True, auto_refresh=False)
        self.terminal = console.is_terminal and not is_quiet()
        self.pace = Pace()

    def __enter__(self) -> "LiveTable":
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def say(self, text: str) -> None:
        say(text)

    def show(self, plan: "Plan", study: "optuna.Study", running: "Sequence[RunningTrial]") -> None:
        if not self.terminal:
            if self.pace.is_due():
                self.pace.say(plan.name, self.head(plan, study).partition(": ")[2])
            return
        if not self.live.is_started:
            self.live.start()
        self.live.update(self.render(plan, study, running), refresh=True)
        if not running:
            self.live.stop()

    def render(self, plan: "Plan", study: "optuna.Study", running: "Sequence[RunningTrial]") -> Any:
        rows = [
            (each.trial.number, curve(list(each.curve.values())), f"{max(each.curve, default=0):,}")
            for each in running
        ]
        return page(self.head(plan, study), table(("trial>", "validation", "step>"), rows))

    def head(self, plan: "Plan", study: "optuna.Study") -> str:
        """How far the search is, in one line."""
        from kaggle_hw4.tuning.study import best_trials, count

        counts = count(study)
        best = best_trials(study, plan.objective, 1)
        leader = f"best {best[0].value:.4f} (trial {best[0].number})" if best else "no best yet"
        return (
            f"{plan.name}: {counts.finished} of {plan.trials} finished, {counts.pruned} pruned, "
            f"{counts.failed} failed; {leader}; {time_left(plan, study, counts.finished)}"
        )


def curve(values: Sequence[float]) -> str:
    """The last values as bars, from the lowest to the highest, and the last one as a number."""
    if not values:
        return ""
    low, span = min(values), (max(values) - min(values)) or 1.0
    bars = "".join(BARS[int((v - low) / span * (len(BARS) - 1))] for v in values[-WIDTH:])
    return f"{bars} {values[-1]:.4f}"


def time_left(plan: "Plan", study: "optuna.Study", finished: int) -> str:
    """The time left for the search, at the mean duration of the trials so far."""
    trials = study.get_trials(deepcopy=False)
    seconds = [trial.duration.total_seconds() for trial in trials if trial.duration]
    if not seconds:
        return "time left unknown"
    minutes = (plan.trials - finished) * sum(seconds) / len(seconds) / plan.jobs / 60
    return f"about {minutes:.0f} min left, then the finals"
