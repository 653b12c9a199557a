"""Training of encoders without labels."""
