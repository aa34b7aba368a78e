"""A proxy that breaks real HTTP traffic: between an agent and a real server, on loopback.

It does to each exchange what it is told to, and says when it has really done it. ::

    with Proxy("shop", server_address, decide) as proxy:
        ...  # an agent whose tools call proxy.address

Where messages begin and end is found out by h11, the parser of httpx, since ways to frame a message wrongly are many;
the bytes themselves are passed on as they came.
"""

from agentroute.testing.wire.order import REWRITTEN, WIRE, Order
from agentroute.testing.wire.proxy import Proxy
from agentroute.testing.wire.request import MOST_HELD

__all__ = ["MOST_HELD", "REWRITTEN", "WIRE", "Order", "Proxy"]
