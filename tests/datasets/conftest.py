"""The real CBIS-DDSM films, as the tests of ingest find them."""

from tests.ingest.conftest import cbis_cases

__all__ = ["cbis_cases"]
