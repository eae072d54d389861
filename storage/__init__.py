"""KEEP: the history in ClickHouse: `migrations/*.sql`, one writer, readers, and the guard for other people's SQL.

`tables.py` says which topic goes to which table; `writer.py` inserts batches, `guard.py` decides what SQL from outside
may run. The engine is ClickHouse, embedded (chDB) or a server: the same SQL for both. May import: schemas.
"""
