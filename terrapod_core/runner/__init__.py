"""Carries out one phase of a run: fetch, unpack, init, plan or apply, stream the log, hand back plan, state and outcome.

A program of its own (`python -m terrapod_core.runner`), started by a runner backend wherever terraform may run. It knows the
server only by the phase protocol (docs/reference/phase-protocol.md), imports nothing but the standard library so that it starts
in a blink, and gives the engine it starts nothing of what it was given itself.
"""
