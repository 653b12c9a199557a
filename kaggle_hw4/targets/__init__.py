"""Labels and soft targets that models made: artifacts that other trainings learn from."""
