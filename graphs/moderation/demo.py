"""Judge a post while classifiers die: ``python -m graphs.moderation.demo``.

Things to try:

    --kill image@image                      the image classifier dies with the request in its hands: a degraded verdict
    --kill image --kill text --kill history the two secondary checks decide, and the verdict says what is missing
    --hang text                             the text classifier hangs: the others go on meanwhile
    --kill image --kill text --kill history --kill spam     one signal never decides: held for review
    --kill nothing --post p3                a threat: a person decides
"""

from graphs.moderation.agent import build_agent
from graphs.providers.demonstration import Demonstration, main

CLASSIFIERS = ("image", "text", "history", "toxicity", "spam")

DEMONSTRATION = Demonstration(
    domain="moderation",
    build_agent=build_agent,
    option=("--post", "p1", "post to judge: p1 (harmless), p2 (spam) or p3 (a threat)"),
    inputs=lambda post: {"post_id": post},
    moments={
        **{name: [(name, "POST /classifications")] for name in CLASSIFIERS},
        "verdict": [("queue", "POST /verdicts")],
    },
    kill=["image@image"],
    tables=["classifications", "verdicts", "holds"],
)

if __name__ == "__main__":
    main(DEMONSTRATION, __doc__ or "")
