"""Whatever bytes come: a message or a documented error, and the next good line works.

`targets` are functions of some bytes that raise if that is not so. Tests run them over all seeds
and over bytes that hypothesis makes up; ``python -m tests.fuzz TARGET`` has atheris look for
inputs that reach new places, for as long as one likes (see ``scripts/fuzz``).
"""
