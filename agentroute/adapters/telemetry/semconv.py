"""Names of spans and attributes. One place, because the conventions they follow still change.

``gen_ai.*`` and ``error.type`` follow the OpenTelemetry GenAI conventions at `UPSTREAM`; their status is Development
and the constants in the PyPI package are deprecated without a successor. There is no convention for cost, routes or
fallbacks: those names are ours, ``agentroute.*``. Money is in USD, durations are in seconds.
"""

from typing import Final

UPSTREAM: Final = "open-telemetry/semantic-conventions-genai 1.42.0-dev (67dff024110b)"
"""Version of the GenAI conventions that this module was written against."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"

SCOPE: Final = "agentroute"
"""Name of the instrumentation scope."""

# ---------------------------------------------------------------- span names

WORKFLOW_SPAN: Final = "invoke_workflow"  # {agent}
STEP_SPAN: Final = "agentroute.step"  # {tool}
TOOL_SPAN: Final = "execute_tool"  # {tool}
CHAT_SPAN: Final = "chat"  # {model}

REROUTE_SPAN: Final = "agentroute.reroute"
TIER_SPAN: Final = "agentroute.tier"
HEDGE_SPAN: Final = "agentroute.hedge"
ESCALATE_SPAN: Final = "agentroute.escalate"
ROUTE_SPAN: Final = "agentroute.route"
GUARD_SPAN: Final = "agentroute.guard"
SIGNAL_SPAN: Final = "agentroute.signal"
QUARANTINE_SPAN: Final = "agentroute.quarantine"
WAIT_SPAN: Final = "agentroute.wait"
VERIFIED_SPAN: Final = "agentroute.verified"
COMPENSATED_SPAN: Final = "agentroute.compensated"
UNRESOLVED_SPAN: Final = "agentroute.unresolved"
FENCED_SPAN: Final = "agentroute.late_result"

# ---------------------------------------------------------------- by convention

OPERATION: Final = "gen_ai.operation.name"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
ERROR_TYPE: Final = "error.type"

# ---------------------------------------------------------------- ours: on every span

RUN_ID: Final = "agentroute.run.id"
TOOL: Final = "agentroute.tool"

# ---------------------------------------------------------------- ours: the run

GOAL: Final = "agentroute.goal"
GOAL_REACHED: Final = "agentroute.goal.reached"
OUTCOME: Final = "agentroute.outcome"
"""Of a run: an outcome, or `SUSPENDED`. Of a step or attempt: only where it is neither plain success nor failure."""
REASON: Final = "agentroute.reason"
COST_USD: Final = "agentroute.cost_usd"
BUDGET_USD: Final = "agentroute.budget_usd"
BUDGET_LEFT_USD: Final = "agentroute.budget_left_usd"
DEADLINE_S: Final = "agentroute.deadline_s"
LLM_CALLS_LIMIT: Final = "agentroute.llm_calls.limit"
TOKENS_LIMIT: Final = "agentroute.tokens.limit"
TOOL_CALLS_LIMIT: Final = "agentroute.tool_calls.limit"
ATTEMPTS: Final = "agentroute.attempts"
RETRIES: Final = "agentroute.retries"
REROUTES: Final = "agentroute.reroutes"
ESCALATIONS: Final = "agentroute.escalations"
LLM_CALLS: Final = "agentroute.llm_calls"
TOKENS: Final = "agentroute.tokens"
"""What counts against a limit: tokens that were held back, where nobody said how many there were."""
LEFT_BEHIND: Final = "agentroute.left_behind"
RESUMED: Final = "agentroute.resumed"
INPUTS: Final = "agentroute.inputs"
OUTPUTS: Final = "agentroute.outputs"

SUSPENDED: Final = "suspended"
ABANDONED: Final = "abandoned"
VERIFIED: Final = "verified"
COMPENSATED: Final = "compensated"
UNRESOLVED: Final = "unresolved"

# ---------------------------------------------------------------- ours: attempts

ATTEMPT: Final = "agentroute.attempt"
ATTEMPT_NUMBER: Final = "agentroute.attempt.number"
ROLE: Final = "agentroute.role"
ABOUT: Final = "agentroute.about"
IDEMPOTENCY_KEY: Final = "agentroute.idempotency_key"
RESERVED_USD: Final = "agentroute.reserved_usd"
RESERVED_TOKENS: Final = "agentroute.reserved_tokens"
CALLED: Final = "agentroute.called"
"""False for an attempt that was abandoned before its tool was called."""
FAILURE_KIND: Final = "agentroute.failure.kind"
IN_DOUBT: Final = "agentroute.failure.in_doubt"
RETRY_AFTER_S: Final = "agentroute.failure.retry_after_s"
RETRY_OF: Final = "agentroute.retry.of"
RETRY_WAIT_S: Final = "agentroute.retry.wait_s"

# ---------------------------------------------------------------- ours: decisions

ROUTE: Final = "agentroute.route"
WEIGHT_USD: Final = "agentroute.weight_usd"
OPTIMAL: Final = "agentroute.optimal"
ROUTE_BEFORE: Final = "agentroute.route.before"
ROUTE_AFTER: Final = "agentroute.route.after"
WEIGHT_BEFORE_USD: Final = "agentroute.weight.before_usd"
WEIGHT_AFTER_USD: Final = "agentroute.weight.after_usd"
MONITOR: Final = "agentroute.monitor"
SIGNAL_KIND: Final = "agentroute.signal.kind"
STOPS: Final = "agentroute.signal.stops"
WEIGHED: Final = "agentroute.weighed"
"""What the tools weighed that a choice was between, and why; a line each."""
STEP_NAME: Final = "agentroute.step.name"
"""Of a model step that several tools can do."""
POLICY: Final = "agentroute.policy"
WORTH_USD: Final = "agentroute.worth_usd"
DETECTION: Final = "agentroute.detection"
MENU: Final = "agentroute.menu"
MENU_UTILITIES: Final = "agentroute.menu.utilities"
MENU_WEIGHTS_USD: Final = "agentroute.menu.weights_usd"
MENU_ROUTES: Final = "agentroute.menu.routes"
CHOICE: Final = "agentroute.choice"
CHOSEN_BY: Final = "agentroute.chosen_by"
NOTE: Final = "agentroute.note"
MODEL_CALLED: Final = "agentroute.model_called"
WAIT_S: Final = "agentroute.wait_s"
VERIFIER: Final = "agentroute.verifier"
HAPPENED: Final = "agentroute.happened"
COMPENSATOR: Final = "agentroute.compensator"
SUCCEEDED: Final = "agentroute.succeeded"

# ---------------------------------------------------------------- ours: links

LINK: Final = "agentroute.link"
"""What a link means; one of the following."""

FAILED_ATTEMPT: Final = "failed-attempt"
RETRY: Final = "retry-of"
AFTER_REROUTE: Final = "after-reroute"
OVERDUE_ATTEMPT: Final = "overdue-attempt"
ABOUT_ATTEMPT: Final = "about"
EARLIER: Final = "resumes"
