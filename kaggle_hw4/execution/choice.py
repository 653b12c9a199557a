"""The rule that spends a given time: how many steps, and how many networks."""

from dataclasses import dataclass

from kaggle_hw4.recipe import Recipe
from kaggle_hw4.training.measure import Cost

EPOCHS = 20  # passes over the training utterances; only what time is left after them goes into
NETWORKS = 3  # more networks: as many of each kind, or as the recipe has where those are more
VALIDATIONS = 0.05  # share of the time that validations take at most, but for the last one
WARM_UP = 0.1  # share of the steps that the learning rate grows over at most
FEWEST = 20  # steps of a training that is worth its predictions


@dataclass(frozen=True)
class Choice:
    """`networks` of each kind, None: as many as the recipe has."""

    steps: int
    networks: int | None
    validate_every: int


def choose_networks(seconds: float, cost: Cost, utterances: int, recipe: Recipe) -> int:
    """How many networks of each kind a run of so many seconds is best spent on.

    `cost` is that of one of each. As many as still pass EPOCHS times over the training `utterances`
    each: where there are few passes, more of them are worth more than more networks.
    """
    most = max(NETWORKS, *(config.count for config in recipe.networks))
    for count in range(most, 1, -1):
        steps = _steps(seconds, count * cost.step, count * cost.prediction, cost.validation * count)
        if steps * recipe.segments.batch_size >= EPOCHS * utterances:
            return count
    return 1


def choose_steps(seconds: float, cost: Cost, recipe: Recipe, networks: int | None) -> Choice:
    """The steps of a run of so many seconds, its predictions included, and its validations.

    `cost` is that of the networks chosen. There are fewer than FEWEST steps where the time is too
    short.
    """
    training = max(0.0, seconds - cost.prediction)
    usual = max(1, recipe.schedule.steps // recipe.schedule.validate_every)
    affordable = int(VALIDATIONS * training / max(cost.validation, 1e-9))
    validations = max(1, min(usual, affordable))
    steps = _steps(seconds, cost.step, cost.prediction, validations * cost.validation)
    return Choice(steps, networks, max(1, -(-steps // validations)))


def fewest_seconds(cost: Cost) -> float:
    """What a run takes at least."""
    return FEWEST * cost.step + cost.validation + cost.prediction


def settings_of(recipe: Recipe, choice: Choice) -> tuple[str, ...]:
    """`choice` as settings; every count of steps is in proportion to those of the recipe."""
    share = choice.steps / recipe.schedule.steps
    fine_tuning = recipe.large_margin_fine_tuning.steps
    warm_up = min(
        round(recipe.schedule.warmup_steps * max(1.0, share)), round(WARM_UP * choice.steps)
    )
    values = {
        "schedule.steps": choice.steps,
        "schedule.warmup_steps": warm_up,
        "schedule.validate_every": choice.validate_every,
        "loss.margin_warmup_steps": round(recipe.loss.margin_warmup_steps * share),
        "large_margin_fine_tuning.steps": round(fine_tuning * share),
    }
    if choice.networks is not None:
        values["networks.count"] = choice.networks
    return tuple(f"{key}={value}" for key, value in values.items())


def _steps(seconds: float, step: float, prediction: float, validation: float) -> int:
    return max(0, int((seconds - prediction - validation) / step))
