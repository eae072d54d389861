"""MOVE: messages from topic to topic, nothing else. One file an arrow of the diagram.

`topics.py` is the map. `lane.py` is the batch lane all streams run on: restore, judge, publish, checkpoint, commit.
`detect.py`, `respond.py` and `archive.py` say what each stream reads and writes and hand every record to `detectors/`,
`responders/` or `storage/`. No judgement here. May import: detectors, responders, storage, schemas.
"""
