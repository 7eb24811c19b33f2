"""Which servers are this installation's own: nobody else's URL leads there."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from terrapod_core.settings import Settings

PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "postgresql+asyncpg": 5432}


def own_servers(settings: Settings) -> frozenset[str]:
    """`host:port` of the listener, the address clients use, database, Redis, proxy and object store. Not their passwords."""
    server = settings.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    urls = [settings.external_url, settings.runner.url, settings.database.url, settings.redis.url, settings.outgoing.proxy]
    # Only the plugin knows its settings; whatever is a URL in those of the store leads to it.
    urls += [raw.value for raw in settings.plugin_section("storage", settings.storage.backend).values() if isinstance(raw.value, str)]
    return frozenset({f"{host}:{server.port}"}.union(*map(_servers_of, filter(None, urls))))


def _servers_of(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 443)
    except ValueError:
        return set()
    hosts = [parts.hostname] if parts.hostname and "://" in url else []
    found = {f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in hosts}
    # asyncpg takes hosts from the query, too; those that are paths are sockets.
    named = [each for value in parse_qs(parts.query).get("host", []) for each in value.split(",") if each and not each.startswith("/")]
    return found | {each if ":" in each else f"{each}:{port}" for each in named}
