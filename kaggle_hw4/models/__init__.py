"""Networks, from features to logits; `build` makes a recipe's."""
