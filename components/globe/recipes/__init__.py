"""Recipes: one YAML file each, by stage, and what reads and checks them."""
