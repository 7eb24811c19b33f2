"""JSON:API documents, out and in. The only place where snake_case and kebab-case meet.

A room describes its things once (`Resource`), and reads requests into structs of its own (`parse`). This room knows no
Terraform word, no web framework and no SQL; a session is something it hands on to a loader.
"""

from __future__ import annotations

from terrapod_core.jsonapi.convert import build
from terrapod_core.jsonapi.describe import ABSENT, Attribute, Relationship, attr, to_many, to_one, wire_name
from terrapod_core.jsonapi.errors import errors_document
from terrapod_core.jsonapi.include import Includes, Loader
from terrapod_core.jsonapi.page import MAX_PAGE_SIZE, Page, PageRequest
from terrapod_core.jsonapi.parse import parse, parse_action, parse_open, parse_plain, parse_refs
from terrapod_core.jsonapi.query import Query, Sort, Tagged
from terrapod_core.jsonapi.refs import Ref
from terrapod_core.jsonapi.rendering import Rendering
from terrapod_core.jsonapi.resource import Resource, ResourceObject

__all__ = [
    "ABSENT",
    "MAX_PAGE_SIZE",
    "Attribute",
    "Includes",
    "Loader",
    "Page",
    "PageRequest",
    "Query",
    "Ref",
    "Relationship",
    "Rendering",
    "Resource",
    "ResourceObject",
    "Sort",
    "Tagged",
    "attr",
    "build",
    "errors_document",
    "parse",
    "parse_action",
    "parse_open",
    "parse_plain",
    "parse_refs",
    "to_many",
    "to_one",
    "wire_name",
]
