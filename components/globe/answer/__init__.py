"""What models are asked and what they answer: the prompt, the grammar, and from a text to a place."""
