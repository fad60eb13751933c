"""Asking a served model where pictures were taken: any OpenAI-compatible server, its odd replies and outages included.

`client` calls a server, `answers` is what came of one call, `recipe` says how to ask.
"""
