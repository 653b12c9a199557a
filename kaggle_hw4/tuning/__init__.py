"""The search for a better recipe: Optuna's ask and tell, with trials in processes of their own."""
