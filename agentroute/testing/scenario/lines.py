"""Records as lines of JSON, whatever text tools have put into them."""

import json

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from agentroute.testing.scenario.record import ScenarioRecord

RECORD = TypeAdapter(ScenarioRecord)


def readable(record: ScenarioRecord) -> ScenarioRecord:
    """The same; but texts that are no Unicode, such as half a character, with question marks in their place."""
    try:
        RECORD.dump_json(record)
    except (PydanticSerializationError, UnicodeEncodeError):
        text = json.dumps(RECORD.dump_python(record), ensure_ascii=False, default=repr)
        return RECORD.validate_python(json.loads(text.encode("utf-8", "replace")))
    return record
