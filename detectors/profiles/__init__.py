"""What each agent is and does: what a step uses, what comes of it by agent, and what is new, odd or silent about it.

Pure, like all of `detectors/`: may import `detectors` and `schemas`. `detect` reduces steps to sightings and activity
(`uses`, `activity`); `profile` puts them together by agent (`profiler`) and judges them (`novelty`, `changes`, `shadows`,
`silence`).
"""
