"""Submissions, their ledger, the leaderboard, and Kaggle itself."""
