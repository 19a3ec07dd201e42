"""Tests of medproto.datasets."""
