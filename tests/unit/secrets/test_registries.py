"""A sealed column or a kind of object that nobody registered would stay under an old key for ever."""

from __future__ import annotations

import pytest

import terrapod_core.app  # noqa: F401 - loads every table
from terrapod_core.db import Base, Sealed
from terrapod_core.secrets import SEALED
from terrapod_core.secrets.columns import SealedColumns
from terrapod_core.storage import ObjectKind
from terrapod_core.storage.named import NAMED
from terrapod_core.variables.models import Variable


def test_every_sealed_column_is_registered() -> None:
    columns = {
        (table.name, column.name) for table in Base.metadata.tables.values() for column in table.columns if isinstance(column.type, Sealed)
    }
    assert columns, "no table is loaded"
    assert columns == {(each.table.name, each.column) for each in SEALED}, "register it with SEALED.add(…) right below its entity"


def test_what_is_registered_names_the_rows_by_their_keys() -> None:
    for each in SEALED:
        key = {part.name: f"the {part.name}" for part in each.table.primary_key.columns}
        row = each.row_of(key)
        assert all(value in row for value in key.values()), f"{each.name}: rows would be mixed up"


def test_every_kind_of_object_is_named_by_a_column() -> None:
    assert {each.kind for each in NAMED.sealed()} == set(ObjectKind), "register it with NAMED.add(…) right below its entity"


def test_two_columns_cannot_be_sealed_for_the_same_name() -> None:
    columns = SealedColumns()
    columns.add(Variable, "value_sealed", "variables.value")
    with pytest.raises(ValueError, match="two sealed columns are called variables.value"):
        columns.add(Variable, "description", "variables.value")
