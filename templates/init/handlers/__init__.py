"""The code that people write: one module a service."""
