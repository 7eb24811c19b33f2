"""Metrics: every one is defined in `definitions`, and counted by whoever does the work.

Nothing is imported here: the library decides at its import whether processes share their numbers, and `workers.share` comes before that.
"""
