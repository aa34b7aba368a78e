"""Faults of what was done: done and not told, done twice, done by somebody who died of it, done for another price."""

from agentroute.ids import dollars
from agentroute.ports import Values
from agentroute.testing.faults.passage import Passage
from agentroute.testing.faults.schedule import Strike


async def ack_lost(strike: Strike, passage: Passage) -> Values:
    """Do it, and lose the answer."""
    await passage.onwards()
    passage.trigger(strike)
    raise ConnectionResetError("connection reset by peer")


async def duplicate_delivery(strike: Strike, passage: Passage) -> Values:
    """Deliver the request twice; the first answer counts."""
    answer = await passage.onwards()
    passage.trigger(strike)
    told = passage.attempt.charged
    await passage.call(passage)
    passage.attempt.charged = told  # of the second one, nobody is told
    return answer


async def crash(strike: Strike, passage: Passage) -> Values:
    """Die at a point of the call; or have somebody else die at that point, while the call itself goes well."""
    fault, spec = strike.fault, passage.tool.spec
    own = spec.provider or spec.name
    victim = fault.victim or own
    if victim != own and fault.point == "arrives":
        passage.condemn(victim, strike)
        return await passage.onwards()
    answer: Values = await passage.onwards() if fault.point == "answered" else {}
    passage.condemn(victim, strike)
    if victim != own:
        return answer
    passage.trigger(strike)
    raise ConnectionResetError("the other side died")


async def price_change(strike: Strike, passage: Passage) -> Values:
    """Charge another price than was declared."""
    answer = await passage.onwards()
    attempt = passage.attempt
    declared = passage.tool.spec.cost.usd if attempt.charged is None else dollars(attempt.charged)
    attempt.charged = None
    attempt.charge(usd=declared * strike.fault.factor)
    passage.trigger(strike)
    return answer
