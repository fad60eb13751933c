"""The gateway: the only open port of a served model, with its API, its limits and its page."""
