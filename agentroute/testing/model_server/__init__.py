"""An OpenAI-compatible server on loopback whose answers, delays and failures follow a script.

In a test::

    with ModelServer([Reply(status=429, headers={"retry-after": "2"}), Reply({"text": "Short."})]) as server:
        model = LiteLlm(api_base=server.base_url, api_key="any")

As a process that can be killed (the address is the first line it prints)::

    python -m agentroute.testing.model_server --port 0 --script replies.json

where the file holds one reply, which is always given, or a list of replies, which are given in order.
"""

from agentroute.testing.model_server.reply import Reply, Request, Script, read_script
from agentroute.testing.model_server.server import ModelServer

__all__ = ["ModelServer", "Reply", "Request", "Script", "read_script"]
