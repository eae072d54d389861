"""A new rule to begin with: it loads, and its tests pass."""

import hashlib
import uuid
from pathlib import Path
from typing import Final

from schemas.errors import BadInput

_TEXT: Final = """\
title: {title}
id: {id}
name: {name}
status: experimental
description: >-
  What it finds, in a sentence, and why that is bad.
references:
  - https://example.com/where-this-is-described
falsepositives:
  - What harmless thing looks the same.
level: medium
tags: [owasp.asi02]
logsource: {{product: ai_agent, category: agent_events}}
detection:
  call:
    kind: tool_call
    traits: egress
  secret:
    argument|contains: 'BEGIN PRIVATE KEY'
  condition: call and secret
lictor:
  confidence: 0.7
  impact: 0.5
  mode: observe
  runbook: What a person does about it, step by step.
  tests:
    - say: a private key in a mail
      fires: true
      steps:
        - {{kind: tool_call, tool: send_email, arguments: {{to: a@example.com, body: '-----BEGIN PRIVATE KEY-----'}}}}
    - say: a public key in a mail
      fires: false
      near_miss: true
      steps:
        - {{kind: tool_call, tool: send_email, arguments: {{to: a@example.com, body: '-----BEGIN PUBLIC KEY-----'}}}}
"""


def write_template(name: str, folder: Path) -> Path:
    """Write `<folder>/<name>.yml` and return its path. Raises `BadInput` where the name is none, or is taken."""
    plain = name.removesuffix(".yml").strip("/")
    stem = plain.rpartition("/")[2].replace("-", "_")
    if not plain or ".." in plain or not stem.isidentifier() or not stem.isascii():
        raise BadInput("a rule's name is of letters, digits and `-`, as family/my-rule", where=name)
    path = folder / f"{plain}.yml"
    if path.exists():
        raise BadInput("there is such a rule already", where=str(path))
    number = uuid.UUID(bytes=hashlib.blake2b(plain.encode(), digest_size=16, person=b"lictor.rule").digest(), version=4)
    path.parent.mkdir(parents=True, exist_ok=True)
    title = stem.replace("_", " ").capitalize()
    path.write_text(_TEXT.format(title=title, id=number, name=stem), encoding="utf-8")
    return path
