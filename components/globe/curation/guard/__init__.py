"""What keeps pictures of the test sets out of what is trained on."""
