"""The room's services, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.bootstrap import FirstStart
from terrapod_core.accounts.browser import FormTokens
from terrapod_core.accounts.models import SERVICE
from terrapod_core.accounts.password_changes import PasswordChanges
from terrapod_core.accounts.scopes import ReadableWorkspaces
from terrapod_core.accounts.sessions import Sessions
from terrapod_core.accounts.sign_in import SignIn
from terrapod_core.accounts.terraform_login import TerraformLogin
from terrapod_core.accounts.tokens import Tokens
from terrapod_core.accounts.users import Accounts
from terrapod_core.audit import Refusals
from terrapod_core.authz import Authorizer
from terrapod_core.db import Database
from terrapod_core.plugin.auth import AuthProvider
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Settings, SettingsError


@dataclass(frozen=True)
class AccountServices:
    """Everything that has to do with who somebody is."""

    authentication: Authentication
    accounts: Accounts
    passwords: PasswordChanges
    tokens: Tokens
    sessions: Sessions
    sign_in: SignIn
    terraform_login: TerraformLogin
    first_start: FirstStart
    form_tokens: FormTokens


def open_accounts(
    db: Database,
    keyring: Keyring,
    settings: Settings,
    authz: Authorizer,
    providers: Mapping[str, AuthProvider],
    readable: ReadableWorkspaces,
    refusals: Refusals,
) -> AccountServices:
    """Make the services over one database; `providers` by name, as the plugins gave them. `readable` is asked about workspaces
    that a token shall be for.

    Raises `SettingsError` for a provider with the name that service accounts have.
    """
    if SERVICE in providers:
        raise SettingsError(f"an auth provider is called {SERVICE}, which is the provider of service accounts: give it another name")
    authentication = Authentication(db, keyring, settings.sessions, settings.auth)
    passwords = PasswordChanges(db, authz, authentication, providers)
    tokens = Tokens(db, authz, keyring, authentication, settings.tokens, readable)
    sessions = Sessions(db, authz, keyring, authentication, settings.sessions)
    sign_in = SignIn(db, keyring, sessions, authentication, providers, settings.auth, refusals)
    return AccountServices(
        authentication=authentication,
        accounts=Accounts(db, authz, authentication, passwords, sign_in.providers),
        passwords=passwords,
        tokens=tokens,
        sessions=sessions,
        sign_in=sign_in,
        terraform_login=TerraformLogin(db, tokens, authentication),
        first_start=FirstStart(db, keyring, passwords, authentication),
        form_tokens=FormTokens(keyring),
    )
