"""Asking a served model where pictures were taken: any OpenAI-compatible server, its odd replies and outages included.

`client` finds a model, `call` asks it once, `reply` reads what came, `answers` looks up the place that it names. `runner` asks
about many pictures: as many at once as `pace` allows, into a `journal`; `samples` chooses among several answers to one.
"""
