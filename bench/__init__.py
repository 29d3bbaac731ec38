"""Benchmarks against named peers, and their results in RESULTS.md. They fail nothing, and no test runs them."""
