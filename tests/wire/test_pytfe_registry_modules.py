"""HashiCorp's Python client on modules of the private registry."""

from __future__ import annotations

import io

import httpx
import pytest
from pytfe import TFEClient
from pytfe.errors import NotFound, TFEError
from pytfe.models import (
    RegistryModuleCreateOptions,
    RegistryModuleCreateVersionOptions,
    RegistryModuleID,
    RegistryModuleListOptions,
    RegistryModuleUpdateOptions,
    RegistryName,
)
from pytfe.models.registry_module import PublishingMechanism, RegistryModuleStatus, RegistryModuleVersionStatus

from tests.support.wire import QUICK, archive, fresh


@pytest.fixture
def module(tfe: TFEClient) -> RegistryModuleID:
    """A module of the test's own, as the client names it."""
    made = tfe.registry_modules.create("default", RegistryModuleCreateOptions(name=fresh("module"), provider="aws"))
    assert (made.namespace, made.registry_name, made.status) == ("default", RegistryName.PRIVATE, RegistryModuleStatus.PENDING)
    assert made.publishing_mechanism is PublishingMechanism.NON_VCS
    return RegistryModuleID(organization="default", name=made.name, provider="aws", namespace="default", registry_name=RegistryName.PRIVATE)


def publish(tfe: TFEClient, module: RegistryModuleID, version: str) -> str:
    """A version with its archive; its id."""
    made = tfe.registry_modules.create_version(module, RegistryModuleCreateVersionOptions(version=version))
    assert made.status is RegistryModuleVersionStatus.PENDING
    tfe.registry_modules.upload_tar_gzip(made.links["upload"], io.BytesIO(archive({"main.tf": QUICK})))
    return str(made.id)


def test_create_publish_read_and_list(tfe: TFEClient, module: RegistryModuleID) -> None:
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        publish(tfe, module, version)
    read = tfe.registry_modules.read(module)
    assert read.status is RegistryModuleStatus.SETUP_COMPLETE
    assert [each.version for each in read.version_statuses] == ["1.10.0", "1.9.0", "1.0.0"]
    assert {each.status for each in read.version_statuses} == {RegistryModuleVersionStatus.OK}
    assert tfe.registry_modules.read(RegistryModuleID(id=read.id)).name == module.name
    assert [each.version for each in tfe.registry_modules.list_versions(module)] == ["1.10.0", "1.9.0", "1.0.0"]
    assert [each.version for each in tfe.registry_modules.list_versions(RegistryModuleID(id=read.id))] == ["1.10.0", "1.9.0", "1.0.0"]
    shown = tfe.registry_modules.read_version(module, "1.9.0")
    assert (shown.version, shown.status, shown.links) == ("1.9.0", RegistryModuleVersionStatus.OK, {})
    assert shown.registry_module is not None
    assert shown.registry_module.id == read.id


def test_lists_are_narrowed_and_go_through_all_pages(tfe: TFEClient) -> None:
    word = fresh("many")
    for number in range(5):
        tfe.registry_modules.create("default", RegistryModuleCreateOptions(name=f"{word}-{number}", provider="aws" if number else "azure"))
    found = tfe.registry_modules.list("default", RegistryModuleListOptions(search=word, page_size=2))
    assert [each.name for each in found] == [f"{word}-{number}" for number in range(5)]
    options = RegistryModuleListOptions(search=word, provider="azure", registry_name=RegistryName.PRIVATE, organization_name="default")
    assert [each.name for each in tfe.registry_modules.list("default", options)] == [f"{word}-0"]
    assert list(tfe.registry_modules.list("default", RegistryModuleListOptions(search=word, registry_name=RegistryName.PUBLIC))) == []


def test_a_published_archive_stays_as_it_is(tfe: TFEClient, module: RegistryModuleID) -> None:
    made = tfe.registry_modules.create_version(module, RegistryModuleCreateVersionOptions(version="1.0.0"))
    tfe.registry_modules.upload_tar_gzip(made.links["upload"], io.BytesIO(archive({"main.tf": QUICK})))
    with pytest.raises(httpx.HTTPStatusError) as refusal:
        tfe.registry_modules.upload_tar_gzip(made.links["upload"], io.BytesIO(archive({"main.tf": "# another"})))
    assert refusal.value.response.status_code == 409
    with pytest.raises(TFEError) as twice:
        tfe.registry_modules.create_version(module, RegistryModuleCreateVersionOptions(version="1.0.0"))
    assert twice.value.status == 409


def test_an_update_without_anything_to_change(tfe: TFEClient, module: RegistryModuleID) -> None:
    assert tfe.registry_modules.update(module, RegistryModuleUpdateOptions(no_code=False)).name == module.name
    with pytest.raises(TFEError) as refusal:
        tfe.registry_modules.update(module, RegistryModuleUpdateOptions(no_code=True))
    assert refusal.value.status == 422


def test_delete_a_version_a_provider_and_a_name(tfe: TFEClient, module: RegistryModuleID) -> None:
    publish(tfe, module, "1.0.0")
    publish(tfe, module, "1.1.0")
    tfe.registry_modules.delete_version(module, "1.0.0")
    with pytest.raises(NotFound):
        tfe.registry_modules.read_version(module, "1.0.0")
    assert tfe.registry_modules.read_version(module, "1.1.0").version == "1.1.0"
    assert module.name is not None
    tfe.registry_modules.create("default", RegistryModuleCreateOptions(name=module.name, provider="azure"))
    tfe.registry_modules.delete_provider(module)
    with pytest.raises(NotFound):
        tfe.registry_modules.read(module)
    tfe.registry_modules.delete_by_name(module)
    assert list(tfe.registry_modules.list("default", RegistryModuleListOptions(search=module.name))) == []
    with pytest.raises(TFEError) as refusal:
        tfe.registry_modules.create("default", RegistryModuleCreateOptions(name=module.name, provider="aws"))
    assert refusal.value.status == 409


def test_what_is_in_a_version(tfe: TFEClient, module: RegistryModuleID) -> None:
    publish(tfe, module, "1.0.0")
    publish(tfe, module, "1.1.0")
    shown = tfe.registry_modules.read_terraform_registry_module(module, "1.0.0")
    assert (shown.id, shown.version, shown.versions) == (f"default/{module.name}/aws/1.0.0", "1.0.0", ["1.1.0", "1.0.0"])
    assert shown.root is not None
    assert [(each.name, each.type, each.default, each.required) for each in shown.root.inputs] == [("greeting", "string", '"hello"', False)]
    assert [each.name for each in shown.root.outputs] == ["hidden", "said"]
    assert [(each.type, each.name) for each in shown.root.resources] == [("terraform_data", "one")]
    with pytest.raises(NotFound):
        tfe.registry_modules.read_terraform_registry_module(module, "2.0.0")


def test_the_older_delete_of_a_name(tfe: TFEClient, module: RegistryModuleID) -> None:
    assert module.name is not None
    tfe.registry_modules.delete("default", module.name)
    with pytest.raises(NotFound):
        tfe.registry_modules.read(module)
