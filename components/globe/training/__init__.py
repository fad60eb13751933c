"""Training: recipes, their translation into ms-swift arguments, checkpoints and the three training stages."""
