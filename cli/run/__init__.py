"""The flags of `run` and `create`, concept by concept, and the request that they make up.

A module has `options`, a decorator, and where single fields do not do, `fill(params, body)`.
"""
