"""Landed files: what lies in a folder, whether it can be read, and its lines."""

from lakehouse.ingest.landing.content import UnreadableError
from lakehouse.ingest.landing.inspection import Inspected, Part, inspect
from lakehouse.ingest.landing.listing import Listed, Listing, listing_of
from lakehouse.ingest.landing.reading import blocks_of

__all__ = [
    "Inspected",
    "Listed",
    "Listing",
    "Part",
    "UnreadableError",
    "blocks_of",
    "inspect",
    "listing_of",
]
