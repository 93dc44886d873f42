"""Runs: one batch from transfers to finished run folders, and their mirrors."""
