"""What comes in from version control: pushes, tags and pull requests become configurations and runs, and commits are told of them.

Three steps, each of which leaves a row that the next one finds: what was seen (`watching`), what was fetched (`fetching`), what was started
(`starting`). Whatever breaks in between is taken up again by whichever server looks next.
"""

from __future__ import annotations
