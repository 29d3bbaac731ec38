"""The engines: what each driver does for `runtime.sql.database` and `runtime.sql.sync`.

Imported by URL, so that one engine never loads another's driver.
"""
