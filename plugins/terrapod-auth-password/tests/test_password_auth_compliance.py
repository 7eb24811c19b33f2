from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from terrapod_auth_password.hashing import Hashing
from terrapod_auth_password.provider import PasswordProvider
from terrapod_auth_password.settings import PasswordAuthSettings
from terrapod_core.plugin import AuthProvider, Callback, StoredPassword
from terrapod_core.testing import MemoryPasswords
from terrapod_core.testing.auth import AuthProviderKit

QUICK = PasswordAuthSettings(memory_mib=1, passes=1)


class TestPasswordAuth(AuthProviderKit):
    @pytest.fixture
    def provider(self) -> AuthProvider:
        hashed = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("a quiet walnut drawer")
        passwords = MemoryPasswords(StoredPassword("user-1", "alice@example.com", "alice", hashed))
        return PasswordProvider(passwords, Hashing(QUICK), QUICK)

    @pytest.fixture
    def good_callback(self) -> Callback:
        return Callback({"email": "alice@example.com", "password": "a quiet walnut drawer"}, state="s")

    @pytest.fixture
    def bad_callback(self) -> Callback:
        return Callback({"email": "alice@example.com", "password": "a loud walnut drawer"}, state="s")
