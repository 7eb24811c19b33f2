"""From claims to an identity."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeGuard

from terrapod_auth_oidc.settings import Instance
from terrapod_core.plugin import Identity, LoginRefused

LONGEST: Final = 255
"""Characters of a group or a name."""
LONGEST_EMAIL: Final = 254
MOST_GROUPS: Final = 1000

Claims = Mapping[str, object]


def value_at(claims: Claims, path: str) -> object:
    """The claim of this name, else the value that the dotted path leads to; `None` without one.

    A whole name comes first because providers put dots into them: `https://example.com/groups`.
    """
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def lacks(claims: Claims, instance: Instance) -> bool:
    """Whether the ID token leaves out something that the userinfo endpoint may know."""
    wanted = (instance.email_claim, "email_verified", instance.username_claim, instance.groups_claim)
    return any(value_at(claims, path) is None for path in wanted)


def identity_of(sources: Sequence[Claims], instance: Instance, log: logging.Logger, provider: str) -> Identity:
    """Who it is by the ID token and, after it, what userinfo adds; raises `LoginRefused`."""
    found = [value_at(claims, instance.email_claim) for claims in sources]
    email = next((each for each in found if each is not None), None)
    if email is None:
        log.warning("sign-in through %s: no claim %s; ask for the scope that has it, or set email_claim", provider, instance.email_claim)
        raise LoginRefused("the provider did not say your e-mail address, which this server needs; ask an administrator")
    if not _is_text(email, LONGEST_EMAIL) or not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        log.warning("sign-in through %s: its claim %s is no e-mail address", provider, instance.email_claim)
        raise LoginRefused("the provider did not say a usable e-mail address of yours; ask an administrator")
    groups = groups_of(sources, instance, log, provider)
    if instance.required_groups and not groups.intersection(instance.required_groups):
        log.info("sign-in through %s: somebody is in none of the groups that required_groups names", provider)
        raise LoginRefused("you are in none of the groups that may sign in here")
    names = (value_at(claims, instance.username_claim) for claims in sources)
    return Identity(
        subject=str(sources[0]["sub"]),
        issuer=instance.issuer,
        email=email,
        email_verified=instance.trust_unverified_email or is_verified(sources, email),
        username=next((name for name in names if _is_text(name, LONGEST)), None),
        groups=groups,
    )


def is_verified(sources: Sequence[Claims], email: str) -> bool:
    """Whether the provider says of this very address that it is the person's; nobody may say the contrary."""
    said = [claims["email_verified"] for claims in sources if claims.get("email") == email and "email_verified" in claims]
    return bool(said) and all(each is True or each == "true" for each in said)


def groups_of(sources: Sequence[Claims], instance: Instance, log: logging.Logger, provider: str) -> frozenset[str]:
    """The person's groups; one group may be a text by itself. Raises `LoginRefused` for too many."""
    for claims in sources:
        found = value_at(claims, instance.groups_claim)
        if found is None:
            continue
        listed = [found] if isinstance(found, str) else found
        if not isinstance(listed, list):
            log.warning("sign-in through %s: its claim %s is no list of texts, so it gives no groups", provider, instance.groups_claim)
            return frozenset()
        groups = frozenset(group for group in listed if _is_text(group, LONGEST))
        if len(groups) > MOST_GROUPS:
            log.warning("sign-in through %s: somebody is in %d groups; let it send fewer, those of this server", provider, len(groups))
            raise LoginRefused(f"you are in more than {MOST_GROUPS} groups, which this server does not take; ask an administrator")
        return groups
    return frozenset()


def _is_text(value: object, longest: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()
