"""What every table of the core shares: the declarative base, and the type of what is encrypted."""

from __future__ import annotations

from sqlalchemy import LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from terrapod_core.plugin.columns import COLUMN_TYPES, NAMING, JSONValue, UTCDateTime


class Sealed(TypeDecorator[bytes]):
    """Ciphertext. A column of this type is written with `Keyring.seal` and read with `Keyring.open`, by the row's own service.

    The type does not do it by itself because the authenticated data names the row, which a column type never sees.
    """

    impl = LargeBinary
    cache_ok = True


class Base(DeclarativeBase):
    """Every table of the core."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = COLUMN_TYPES


__all__ = ["NAMING", "Base", "JSONValue", "Sealed", "UTCDateTime"]
