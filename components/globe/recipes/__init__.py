"""Recipes: one YAML file each, one folder a stage, and the code that reads and checks them."""
