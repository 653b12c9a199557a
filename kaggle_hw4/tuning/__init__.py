"""Hyperparameter search for a recipe: Optuna's ask and tell, each trial in its own process."""
