"""NOUNS: every message that crosses a topic, one file each, and the errors.

`step.py` is the firehose and an `msgspec.Struct`; every other message is a frozen pydantic model (`message.py`).
`ids.py` derives names from content, `seal.py` is the envelope of signatures and marks, `keys.py` the list of who may
sign what. JSON Schemas for readers in other languages are exported to `schemas/json/`.

May import: msgspec, pydantic, cryptography. Nothing else of Lictor.
"""
