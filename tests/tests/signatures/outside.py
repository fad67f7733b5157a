# Verifies with gidgethub: a question a line, an answer a line.
import json
import sys

from gidgethub import ValidationFailure, sansio

for line in sys.stdin:
    question = json.loads(line)
    body, header = question["body"].encode(), question["header"]
    try:
        sansio.validate_event(body, signature=header, secret=question["secret"])
        print("true")
    except ValidationFailure:
        print("false")
