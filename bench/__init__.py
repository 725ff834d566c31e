"""Measurements of potluck against its peers. Run from a checkout; never shipped."""
