"""The code that people write: one module a service, and the small ones that services share."""
