"""Explanations: Shapley values of regions and words, maps, and what these are worth."""
