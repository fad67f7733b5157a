"""Reads YAML for the tests of pipelines: one JSON object {"id", "text"} a line in, {"id", "document"} a line out.

Each text is read by the rules of YAML 1.2 and of YAML 1.1, as some vendors' readers do, and has to mean the same.
"""

import json
import sys

from ruamel.yaml import YAML


def read(text, version):
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    yaml.allow_duplicate_keys = False
    return yaml.load(text)


def with_on(document):
    # In YAML 1.1 the key `on`, which one vendor wants, is a truth value.
    return {"on" if name is True else name: value for name, value in document.items()}


for line in sys.stdin:
    case = json.loads(line)
    newer, older = read(case["text"], (1, 2)), with_on(read(case["text"], (1, 1)))
    if newer != older:
        sys.exit(f"YAML 1.1 and 1.2 differ in {case['id']}:\n{case['text']}")
    print(json.dumps({"id": case["id"], "document": newer}))
