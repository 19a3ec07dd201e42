"""Tests of the global analysis of a bundle."""
