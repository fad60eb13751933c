"""What curation writes: the sets, their examples, and the card that describes them."""
