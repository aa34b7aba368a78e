"""What providers answer that more than one contender asks, and the demonstrations' own tools do not."""

from pydantic import BaseModel


class Verdict(BaseModel):
    """What was done about a post."""

    id: int
    post_id: str
    kind: str
    action: str


class Hold(BaseModel):
    """A post on a person's list."""

    id: int
    post_id: str


class Cancelled(BaseModel):
    """A booking that was taken back."""

    id: int
    status: str
