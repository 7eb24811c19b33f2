"""Who somebody is: users, API tokens, sessions, signing in, and `terraform login`."""

from __future__ import annotations

from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.bootstrap import FirstAdmin, FirstStart
from terrapod_core.accounts.browser import FormTokens, Site, check_origin
from terrapod_core.accounts.holders import Holders
from terrapod_core.accounts.models import LOCAL, SERVICE, APIToken, AuthorizationCode, CodeKind, LoginState, SignedIn, TokenOrigin, User
from terrapod_core.accounts.once import Once
from terrapod_core.accounts.password_changes import PasswordChanges
from terrapod_core.accounts.passwords import UserPasswords
from terrapod_core.accounts.resources import AUTHENTICATION_TOKEN, SESSION, USER, register_includes
from terrapod_core.accounts.scopes import Narrowing
from terrapod_core.accounts.service import AccountServices, open_accounts
from terrapod_core.accounts.sessions import Sessions
from terrapod_core.accounts.sign_in import CALLBACK, HOME, SIGN_IN_PAGE, Begun, Refused, SignIn, Unjudged, Visitor, Welcome, checked_return
from terrapod_core.accounts.terraform_login import AuthorizationRequest, OAuthRefused, TerraformLogin, authorization_request
from terrapod_core.accounts.tokens import IssuedToken, SignInAgain, Tokens
from terrapod_core.accounts.users import Accounts

__all__ = [
    "AUTHENTICATION_TOKEN",
    "CALLBACK",
    "HOME",
    "LOCAL",
    "SERVICE",
    "SESSION",
    "SIGN_IN_PAGE",
    "USER",
    "APIToken",
    "AccountServices",
    "Accounts",
    "Authentication",
    "AuthorizationCode",
    "AuthorizationRequest",
    "Begun",
    "CodeKind",
    "FirstAdmin",
    "FirstStart",
    "FormTokens",
    "Holders",
    "IssuedToken",
    "LoginState",
    "Narrowing",
    "OAuthRefused",
    "Once",
    "PasswordChanges",
    "Refused",
    "Sessions",
    "SignIn",
    "SignInAgain",
    "SignedIn",
    "Site",
    "TerraformLogin",
    "TokenOrigin",
    "Tokens",
    "Unjudged",
    "User",
    "UserPasswords",
    "Visitor",
    "Welcome",
    "authorization_request",
    "check_origin",
    "checked_return",
    "open_accounts",
    "register_includes",
]
