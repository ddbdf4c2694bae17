"""Programs as apps: what each takes and leaves, told in an ``app.toml`` of its own.

A folder with an ``app.toml`` is an app. Those that are installed are found by the entry
points :data:`hpc_connector.apps.installed.GROUP`; nothing of a program is imported to
list or show it.
"""
