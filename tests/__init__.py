"""Tests of medproto, audit and ui: a package, so that tests/audit is not taken for audit."""
