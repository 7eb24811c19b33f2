"""The room's services, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.bootstrap import FirstStart
from terrapod_core.accounts.browser import FormTokens
from terrapod_core.accounts.sessions import Sessions
from terrapod_core.accounts.sign_in import SignIn
from terrapod_core.accounts.terraform_login import TerraformLogin
from terrapod_core.accounts.tokens import Tokens
from terrapod_core.accounts.users import Accounts
from terrapod_core.authz import Authorizer
from terrapod_core.db import Database
from terrapod_core.plugin.auth import AuthProvider
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Settings


@dataclass(frozen=True)
class AccountServices:
    """Everything that has to do with who somebody is."""

    authentication: Authentication
    accounts: Accounts
    tokens: Tokens
    sessions: Sessions
    sign_in: SignIn
    terraform_login: TerraformLogin
    first_start: FirstStart
    form_tokens: FormTokens


def open_accounts(
    db: Database, keyring: Keyring, settings: Settings, authz: Authorizer, providers: Mapping[str, AuthProvider]
) -> AccountServices:
    """Make the services over one database; `providers` by name, as the plugins gave them."""
    authentication = Authentication(db, keyring, settings.sessions)
    accounts = Accounts(db, authz, authentication, providers)
    tokens = Tokens(db, authz, keyring, authentication, settings.tokens)
    sessions = Sessions(db, keyring, authentication, settings.sessions)
    return AccountServices(
        authentication=authentication,
        accounts=accounts,
        tokens=tokens,
        sessions=sessions,
        sign_in=SignIn(db, sessions, authentication, providers),
        terraform_login=TerraformLogin(db, tokens, authentication),
        first_start=FirstStart(db, keyring, accounts, authentication),
        form_tokens=FormTokens(keyring),
    )
