"""A program that makes of a forge's archive the configuration of a workspace: without the directory at its top, without what is not wanted.

It has a process of its own because such an archive is as large as the repository, and is whatever somebody pushed.
"""

from __future__ import annotations
