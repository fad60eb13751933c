"""The three training stages: recipes, what they mean as ms-swift arguments, the training process and how it resumes."""
