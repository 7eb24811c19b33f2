"""Connections to forges, and looking at the repositories that workspaces and modules follow.

What becomes of a change is decided by those who follow (`polling.Follower`): this room looks, once for all of them, and loses nothing.
"""

from __future__ import annotations
