from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from terrapod_auth_saml import register_auth_providers
from terrapod_auth_saml.description import describe
from terrapod_auth_saml.settings import IdentityProviderSettings, SAMLSettings
from terrapod_core.plugin import PluginContext
from tests.support.saml_forge import IDP, SSO, Pen, pen

METADATA = """<?xml version="1.0"?>
<!-- for the members of the federation -->
<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">
  <md:EntityDescriptor entityID="{first}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>
        {certificate}
    </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
    <md:KeyDescriptor use="encryption"><ds:KeyInfo><ds:X509Data>
        <ds:X509Certificate>nonsense</ds:X509Certificate>
    </ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example.com/post"/>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.com/sso"/>
  </md:IDPSSODescriptor></md:EntityDescriptor>
  <md:EntityDescriptor entityID="https://second.example.com"><md:IDPSSODescriptor/></md:EntityDescriptor>
  <md:EntityDescriptor entityID="https://a-service.example.com"><md:SPSSODescriptor/></md:EntityDescriptor>
</md:EntitiesDescriptor>"""


def body(certificate: str) -> str:
    return "\n        ".join(certificate.splitlines()[1:-1])


@pytest.fixture
def metadata(idp_pen: Pen, tmp_path: Path) -> Path:
    file = tmp_path / "idp.xml"
    file.write_text(METADATA.format(first=IDP, certificate=body(idp_pen.certificate)))
    return file


@pytest.fixture
def plain(idp_pen: Pen) -> dict[str, Any]:
    return {"idp_entity_id": IDP, "idp_sso_url": SSO, "idp_certificate": idp_pen.certificate}


def test_metadata_says_what_single_settings_would(metadata: Path, plain: dict[str, Any]) -> None:
    from_file = describe("saml", IdentityProviderSettings(idp_metadata_file=metadata, idp_entity_id=IDP))
    assert from_file == describe("saml", IdentityProviderSettings(**plain))
    assert from_file == describe("saml", IdentityProviderSettings(idp_metadata=metadata.read_text(), idp_entity_id=IDP))


def test_without_settings_there_is_no_provider(context: PluginContext[SAMLSettings]) -> None:
    assert register_auth_providers(context) == []


def test_each_identity_provider_has_a_name_of_its_own(context: PluginContext[SAMLSettings], plain: dict[str, Any]) -> None:
    settings = SAMLSettings(**plain, name="staff", providers={"partner": IdentityProviderSettings(**plain, display_name="Our partner")})
    object.__setattr__(context, "settings", settings)
    assert [(each.name, each.display_name) for each in register_auth_providers(context)] == [("staff", "staff"), ("partner", "Our partner")]


def test_a_key_of_this_server_is_never_shown(plain: dict[str, Any], own_key: dict[str, Any], own_pen: Pen) -> None:
    settings = SAMLSettings(providers={"partner": IdentityProviderSettings(**plain, **own_key)})
    secret = own_pen.key.splitlines()[1]
    assert secret not in repr(settings)
    assert secret not in repr(describe("partner", settings.providers["partner"]))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no entity ID": ({"idp_entity_id": ""}, "idp_entity_id is missing"),
    "no address": ({"idp_sso_url": ""}, "idp_sso_url is missing"),
    "no certificate": ({"idp_certificate": ""}, "idp_certificate is missing"),
    "an address in the clear": ({"idp_sso_url": "http://idp.example.com/sso"}, "idp_sso_url must begin with https://"),
    "a script for an address": ({"idp_sso_url": "javascript:alert(1)"}, "idp_sso_url must begin with https://"),
    "no certificate at all": ({"idp_certificate": "hello"}, "a certificate is neither PEM nor base64"),
    "a file and its content": ({"idp_certificate_file": Path("x.pem")}, "idp_certificate and idp_certificate_file are both set"),
    "metadata that is no XML": ({"idp_metadata": "<a"}, "metadata cannot be used: it is not well-formed XML"),
    "metadata with a document type": ({"idp_metadata": "<!DOCTYPE a><a/>"}, "metadata cannot be used: it holds a document type"),
    "metadata of nobody": ({"idp_metadata": "<a/>"}, "the metadata describes 0 identity providers"),
    "a key without a certificate": ({"sp_key": "x"}, "sp_key and sp_certificate belong together"),
    "a transient name": ({"name_id_format": "transient"}, "set subject_attribute"),
    "no attribute for e-mail": ({"email_attributes": ()}, "email_attributes must name at least one"),
    "an address for a domain": ({"email_domains": ("ana@example.com",)}, "email_domains holds domains"),
}


@pytest.mark.parametrize(("change", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_settings_that_cannot_work_are_refused_at_the_start(plain: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        IdentityProviderSettings(**{**plain, **change})
    with pytest.raises(ValueError, match=re.escape(sentence)):
        SAMLSettings(**{**plain, **change})


@pytest.mark.parametrize("name", ["", "Partner", "9to5", "a b", "local", "service"])
def test_a_name_that_paths_cannot_hold_is_refused(plain: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match="provider"):
        SAMLSettings(providers={name: IdentityProviderSettings(**plain)})


def test_one_name_for_two_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="saml names the provider of the plain keys and one of"):
        SAMLSettings(**plain, providers={"saml": IdentityProviderSettings(**plain)})


def test_metadata_of_several_needs_the_one_that_is_meant(metadata: Path) -> None:
    with pytest.raises(ValueError, match="describes 2 identity providers; choose one by idp_entity_id"):
        IdentityProviderSettings(idp_metadata_file=metadata)
    with pytest.raises(ValueError, match="0 identity providers with the entity ID urn:other"):
        IdentityProviderSettings(idp_metadata_file=metadata, idp_entity_id="urn:other")


def test_a_short_key_is_refused(plain: dict[str, Any], own_pen: Pen, stranger: Pen) -> None:
    short = pen(1024)
    with pytest.raises(ValueError, match="RSA key of 1024 bits"):
        IdentityProviderSettings(**{**plain, "idp_certificate": short.certificate})
    with pytest.raises(ValueError, match="at least 2048 bits"):
        IdentityProviderSettings(**plain, sp_key=short.key, sp_certificate=short.certificate)
    with pytest.raises(ValueError, match="sp_certificate is not the certificate of sp_key"):
        IdentityProviderSettings(**plain, sp_key=own_pen.key, sp_certificate=stranger.certificate)


def test_a_missing_file_is_named(plain: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="idp_metadata_file names .*none.xml, which cannot be read"):
        IdentityProviderSettings(**plain, idp_metadata_file=tmp_path / "none.xml")
