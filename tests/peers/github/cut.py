"""Cuts GitHub's published OpenAPI to what the plugin asks: `python cut.py api.github.com.json > openapi.json`.

The whole document is `generated/api.github.com.json` of npm's `@octokit/openapi`, which is too large to be installed for a test.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WANTED = {
    "/app/installations/{installation_id}": ["get"],
    "/app/installations/{installation_id}/access_tokens": ["post"],
    "/installation/repositories": ["get"],
    "/repos/{owner}/{repo}": ["get"],
    "/repos/{owner}/{repo}/commits/{ref}": ["get"],
    "/repos/{owner}/{repo}/compare/{basehead}": ["get"],
    "/repos/{owner}/{repo}/issues/comments/{comment_id}": ["patch"],
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ["post"],
    "/repos/{owner}/{repo}/pulls": ["get"],
    "/repos/{owner}/{repo}/statuses/{sha}": ["post"],
    "/repos/{owner}/{repo}/tarball/{ref}": ["get"],
    "/user": ["get"],
    "/user/repos": ["get"],
}
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """The wanted operations, and the components that these name, directly or by others."""
    paths = {
        path: {name: item for name, item in whole["paths"][path].items() if name not in METHODS or name in methods}
        for path, methods in WANTED.items()
    }
    components: dict[str, dict[str, Any]] = {}
    waiting = list(references(paths))
    while waiting:
        kind, name = waiting.pop().removeprefix("#/components/").split("/", 1)
        if name not in components.setdefault(kind, {}):
            components[kind][name] = whole["components"][kind][name]
            waiting += references(components[kind][name])
    return {"openapi": whole["openapi"], "info": whole["info"], "servers": [{"url": "/"}], "paths": paths, "components": components}


def references(node: Any) -> Iterator[str]:
    """Every `$ref` in it."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


if __name__ == "__main__":
    text = json.dumps(cut(json.loads(Path(sys.argv[1]).read_text())), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    print(re.sub(r"\bgh[pousr]_\w+", "ghs_example", text))  # published examples of tokens look as real as real ones
